import FoundationEssentials
import Logging

/// The log on stderr, a line for each event: when, how grave, what, then what belongs to it as `key=value`, sorted.
///
///     2026-11-21T02:37:01Z info forwarding io=uring io_reason="the kernel grants it" tailnet=tailscale0 vpn=tun0
struct LogLines: LogHandler {
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { Output.log(line(of: event, at: .now)) }

    func line(of event: LogEvent, at date: Date) -> String {
        let facts = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
            .map { " \($0.key)=\(Self.word("\($0.value)"))" }
        return "\(date.formatted(.iso8601)) \(event.level) \(event.message)\(facts.joined())"
    }

    /// Quoted where it would not be one word otherwise.
    private static func word(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.allSatisfy { !$0.isWhitespace && $0 != "\"" && $0 != "=" }
        if isPlain { return text }
        let escaped = text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : $0.isNewline ? "\\n" : String($0) }
        return "\"\(escaped.joined())\""
    }
}
