package import FoundationEssentials
package import Logging

/// How a line of the log is written.
package enum LogFormat: String, CaseIterable, Sendable {
    /// A line of `key=value`: `time`, `level`, `msg`, then what belongs to it.
    case logfmt
    /// One object a line: `time`, `level`, `message`, then what belongs to it, each under its own key.
    case json
}

/// One event of the log: when, how grave, what, and what belongs to it.
package struct LogLine: Equatable, Sendable {
    package let at: Date
    package let level: Logger.Level
    package let message: String
    package let facts: [String: String]

    /// Octets of the message, and of each fact, that are kept: a pipe takes a line of a page at once.
    private static let limit = 2_000

    package init(at: Date, _ level: Logger.Level, _ message: String, _ facts: [String: String] = [:]) {
        self.at = at
        self.level = level
        self.message = Self.bounded(message)
        self.facts = facts.mapValues(Self.bounded)
    }

    /// Why a node ends.
    package init(_ refusal: Refusal) {
        self.init(
            at: .now, .critical, maskingAddresses(in: "\(refusal)"), ["exit_code": "\(refusal.exitCode.rawValue)"])
    }

    /// Without the end of its last line.
    ///
    ///     time=2026-11-21T02:37:01Z level=info msg=forwarding io=uring io_reason="the kernel grants it" tailnet=tailscale0
    package func text(_ format: LogFormat) -> String {
        let time = at.formatted(.iso8601)
        switch format {
        case .logfmt: return "time=\(time) level=\(level) msg=\(Self.word(oneLine))\(factWords)"
        case .json:
            let members =
                [("time", time), ("level", "\(level)"), ("message", message)] + sortedFacts
            return "{\(members.map { "\(Self.quoted($0)):\(Self.quoted($1))" }.joined(separator: ","))}"
        }
    }

    /// What, and what belongs to it, on one line.
    package var sentence: String { Self.printable(oneLine) + factWords }

    /// What is told in three sentences has them each on a line.
    private var oneLine: String { message.split(separator: "\n").joined(separator: "; ") }

    private var factWords: String { sortedFacts.map { " \($0)=\(Self.word($1))" }.joined() }

    private var sortedFacts: [(String, String)] { facts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

    private static func bounded(_ text: String) -> String {
        text.utf8.count <= limit ? text : String(decoding: text.utf8.prefix(limit), as: UTF8.self) + "..."
    }

    /// Quoted where it would not be one word otherwise.
    private static func word(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.allSatisfy { !$0.isWhitespace && $0 != "\"" && $0 != "=" }
        if isPlain { return printable(text) }
        let escaped = text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : $0.isNewline ? "\\n" : String($0) }
        return "\"\(printable(escaped.joined()))\""
    }

    /// What a terminal would obey is not repeated to it.
    package static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.isObeyed ? "?" : $0 }))
    }

    /// RFC 8259, section 7.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\n": quoted += "\\n"
            case _ where scalar.isObeyed && scalar.value <= 0xffff:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

extension Unicode.Scalar {
    /// Controls, and what turns the direction of writing among others.
    fileprivate var isObeyed: Bool { [.control, .format].contains(properties.generalCategory) }
}
