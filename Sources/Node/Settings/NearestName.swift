/// The name that was probably meant: the first of those that take the fewest insertions, deletions and replacements to
/// become. None where even these resemble little of it.
package func nearest(to name: String, among names: [String]) -> String? {
    names.filter { isNear(name, $0) }.min { editDistance(name, $0) < editDistance(name, $1) }
}

/// At most two edits apart, and more alike than not.
package func isNear(_ one: String, _ other: String) -> Bool {
    let distance = editDistance(one, other)
    return distance <= 2 && 2 * distance < max(one.count, other.count)
}

/// Levenshtein's distance, one row at a time.
func editDistance(_ one: String, _ other: String) -> Int {
    let other = Array(other)
    var row = Array(0...other.count)
    for (index, character) in one.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for column in other.indices {
            let replaced = diagonal + (character == other[column] ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
        }
    }
    return row[other.count]
}
