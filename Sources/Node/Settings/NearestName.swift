/// The name that takes the fewest insertions, deletions and replacements to become; the first of several.
package func nearest(to name: String, among names: [String]) -> String? {
    names.min { editDistance(name, $0) < editDistance(name, $1) }
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
