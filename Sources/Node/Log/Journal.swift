import FoundationEssentials
package import Logging
import Synchronization

/// What a node says while it runs, on its way to whoever reads: without an address in it, not too often, in the form and from
/// the level on that the settings ask for. The last lines stay in memory, for `status`.
///
/// Its loggers are of one piece: other settings hold for all of them, wherever they were handed.
package final class Journal: Sendable {
    /// Under this key stands the one address that a line tells, and no event: of who asked the admin endpoint without its token.
    static let refusedPeer = "refused_peer"
    /// Lines of info and graver that are remembered, whatever is written.
    static let remembered = 32

    private struct State {
        var level = Logger.Level.info
        var format = LogFormat.logfmt
        var rates = MessageRates()
        var events: [LogLine] = []
    }

    private let state = Mutex(State())
    private let write: @Sendable (LogLine, LogFormat) -> Void

    /// - Parameter write: takes each line. It may not wait for its reader.
    package init(writing write: @escaping @Sendable (LogLine, LogFormat) -> Void) { self.write = write }

    package var log: Logger { Logger(label: "forwarder") { _ in Scribe(journal: self) } }

    /// Takes level and form.
    package func follow(_ settings: NodeSettings) {
        state.withLock { ($0.level, $0.format) = (settings.log, settings.logFormat) }
    }

    /// The last lines, the newest last.
    var events: [LogLine] { state.withLock { $0.events } }

    /// Writes what was held back, as far as there is room for it by now.
    func settle(at now: ContinuousClock.Instant = .now) { write { $0.settle(at: now) } }

    /// What is worth a line at all.
    fileprivate var level: Logger.Level { state.withLock { min($0.level, .info) } }

    func record(_ line: LogLine, from place: MessageRates.Place, at now: ContinuousClock.Instant = .now) {
        write { $0.offer(line, from: place, at: now) }
    }

    private func write(_ due: (inout MessageRates) -> [LogLine]) {
        let (lines, format) = state.withLock { state in
            let lines = due(&state.rates)
            state.events += lines.filter { $0.level >= .info }.map { line in
                LogLine(at: line.at, line.level, line.message, line.facts.filter { $0.key != Self.refusedPeer })
            }
            state.events.removeFirst(max(0, state.events.count - Self.remembered))
            return (lines.filter { $0.level >= state.level }, state.format)
        }
        for line in lines { write(line, format) }
    }
}

/// One logger's hand.
private struct Scribe: LogHandler {
    let journal: Journal
    var metadata: Logger.Metadata = [:]

    /// The settings', for all of them.
    var logLevel: Logger.Level {
        get { journal.level }
        set {}
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var facts: [String: String] = [:]
        for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }) {
            facts[key] = key == Journal.refusedPeer ? "\(value)" : maskingAddresses(in: "\(value)")
        }
        journal.record(
            LogLine(at: .now, event.level, maskingAddresses(in: "\(event.message)"), facts),
            from: .init(file: event.file, line: event.line, level: event.level))
    }
}
