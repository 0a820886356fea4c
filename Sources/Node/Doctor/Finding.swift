/// What a probe found: how grave, the facts in one sentence, and what a person does about it.
package struct Finding: Equatable, Sendable {
    /// Scripts see the raw values: never renamed.
    package enum Severity: String, Codable, CaseIterable, Comparable, Sendable {
        case ok, note, warning
        /// `run` would not forward.
        case error

        package static func < (one: Severity, other: Severity) -> Bool { one.rank < other.rank }

        private var rank: Int { Severity.allCases.firstIndex(of: self) ?? 0 }
    }

    package let severity: Severity
    package let evidence: String
    /// A command or a line of compose, to be followed as it stands. Nothing where all is well.
    package let remedy: String?

    static func ok(_ evidence: String) -> Finding { Finding(severity: .ok, evidence: evidence, remedy: nil) }

    static func note(_ evidence: String, remedy: String) -> Finding {
        Finding(severity: .note, evidence: evidence, remedy: remedy)
    }

    static func warning(_ evidence: String, remedy: String) -> Finding {
        Finding(severity: .warning, evidence: evidence, remedy: remedy)
    }

    static func error(_ evidence: String, remedy: String) -> Finding {
        Finding(severity: .error, evidence: evidence, remedy: remedy)
    }

    /// What `run` would be refused with.
    static func error(_ refusal: Refusal) -> Finding {
        // A verifier's log is many lines: the first says what, the last why.
        let lines = refusal.because.split(separator: "\n")
        let evidence = ([lines.first] + [lines.count > 1 ? lines.last : nil]).compactMap(\.self).joined(separator: "; ")
        return .error(evidence, remedy: refusal.remedy ?? "start it and read its first lines: forwarder run")
    }

    /// The probe could not ask.
    static func notAsked(_ because: String, remedy: String = "ask as root: sudo forwarder doctor") -> Finding {
        .note("not asked: \(because)", remedy: remedy)
    }
}
