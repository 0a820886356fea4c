package import FoundationEssentials

extension StatusReport {
    /// A line of the node's log, info or graver. It names no address, no DNS name and no key.
    package struct Event: Codable, Equatable, Sendable {
        package var at: Date
        /// `info`, `notice`, `warning`, `error` or `critical`.
        package var level: String
        /// What happened, and behind it what belongs to it, as `key=value`.
        package var message: String

        package init(at: Date, level: String, message: String) {
            self.at = at
            self.level = level
            self.message = message
        }
    }
}

extension StatusReport.Event {
    init(_ line: LogLine) { self.init(at: line.at, level: "\(line.level)", message: line.sentence) }
}
