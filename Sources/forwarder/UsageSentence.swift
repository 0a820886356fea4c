import Node

/// ArgumentParser's sentence about a command line, said as ours are: a reason that continues "because", and what was
/// probably meant.
///
/// A sentence that is not known here, of a later version perhaps, keeps its words.
struct UsageSentence {
    let reason: String
    /// A question that a remedy may begin with.
    let guess: String?

    init(_ sentence: String) {
        var guess: String?
        func parts(_ fixed: String...) -> [String]? { sentence.parts(between: fixed) }
        if let told = parts("Unknown option '", "'. Did you mean '", "'?") {
            reason = "no option is called \(told[0])"
            // It also guesses where nothing is near.
            let (given, near) = (told[0].drop { $0 == "-" }, told[1].drop { $0 == "-" })
            if isNear(String(given), String(near)) { guess = "did you mean \(told[1])?" }
        } else if let told = parts("Unknown option '", "'") {
            reason = "no option is called \(told[0])"
        } else if let told = parts("Missing value for '", "'") {
            reason = "\(told[0]) has no value"
        } else if let told = parts("Missing expected argument '", "'") {
            reason = "\(told[0]) is missing"
        } else if let told = parts("Unexpected argument '", "'") {
            reason = "no argument \"\(told[0])\" is expected"
        } else if let told = parts("", " unexpected arguments: '", "'") {
            reason = "no arguments \"\(told[1].split(separator: "', '").joined(separator: "\", \""))\" are expected"
        } else if let told = parts("The value '", "' is invalid for '", "'. Please provide one of ", ".") {
            reason = "\"\(told[0])\" is no value of \(told[1]), which takes \(told[2].filter { $0 != "'" })"
        } else if let told = parts("The value '", "' is invalid for '", "'") {
            reason = "\"\(told[0])\" is no value of \(told[1])"
        } else if let told = parts("The option '", "' does not take any value, but '", "' was specified.") {
            reason = "\(told[0]) takes no value, and \"\(told[1])\" is given"
        } else {
            reason = sentence.prefix(1).lowercased() + sentence.dropFirst()
        }
        self.guess = guess
    }
}

extension String {
    /// What stands between fixed pieces that the whole begins with, holds in this order, and ends with.
    fileprivate func parts(between fixed: [String]) -> [String]? {
        guard let first = fixed.first, let last = fixed.last, hasPrefix(first), hasSuffix(last) else { return nil }
        var rest = dropFirst(first.count).dropLast(last.count)
        var parts: [String] = []
        for piece in fixed.dropFirst().dropLast() {
            guard let found = rest.firstRange(of: piece) else { return nil }
            parts.append(String(rest[..<found.lowerBound]))
            rest = rest[found.upperBound...]
        }
        return parts + [String(rest)]
    }
}
