import Foundation
import Logging
import Synchronization
import Testing

@testable import Node

@Suite("The journal of a node")
struct JournalTests {
    /// What was written, in its order.
    private final class Sheet: Sendable {
        let lines = Mutex<[String]>([])

        var journal: Journal { Journal { line, _ in self.lines.withLock { $0.append(line.message) } } }
        var all: [String] { lines.withLock { $0 } }
    }

    private let sheet = Sheet()
    private let start = ContinuousClock.now

    private func line(_ message: String, _ level: Logger.Level = .info) -> LogLine {
        LogLine(at: Date(timeIntervalSince1970: 0), level, message)
    }

    private func place(_ line: UInt, _ level: Logger.Level = .info) -> MessageRates.Place {
        .init(file: "Node/It.swift", line: line, level: level)
    }

    @Test("A message that floods is held to ten at once and one a second, and the number of the others is told")
    func flood() {
        let journal = sheet.journal
        for number in 1...100 { journal.record(line("\(number)"), from: place(1), at: start) }
        #expect(sheet.all == (1...10).map { "\($0)" })
        journal.record(line("other"), from: place(2), at: start)
        #expect(sheet.all.last == "other", "each message by itself")
        journal.record(line("101"), from: place(1), at: start + .seconds(1))
        #expect(sheet.all.suffix(2) == ["90 like the next line were held back", "101"])
        journal.record(line("102"), from: place(1), at: start + .seconds(1))
        journal.record(line("103"), from: place(1), at: start + .seconds(60))
        #expect(sheet.all.suffix(2) == ["1 like the next line were held back", "103"])
    }

    @Test("The last word is told once there is room, though nobody says more")
    func lastWord() {
        let journal = sheet.journal
        for number in 1...12 { journal.record(line("\(number)"), from: place(1), at: start) }
        journal.settle(at: start + .milliseconds(900))
        #expect(sheet.all.count == 10)
        journal.settle(at: start + .seconds(1))
        #expect(sheet.all.suffix(2) == ["1 like the next line were held back", "12"])
        journal.settle(at: start + .seconds(9))
        #expect(sheet.all.count == 12)
    }

    @Test("In ten minutes of a flood no message has more lines than a burst and one a second")
    func rate() {
        let journal = sheet.journal
        for second in 0..<600 {
            for _ in 0..<50 { journal.record(line("again"), from: place(1), at: start + .seconds(second)) }
        }
        #expect(sheet.all.filter { $0 == "again" }.count == 609)
    }

    @Test("The last 32 of info and graver are remembered, also where fewer are written")
    func events() {
        let journal = sheet.journal
        var settings = NodeSettings()
        settings.log = .error
        journal.follow(settings)
        for number: UInt in 1...40 {
            journal.record(line("\(number)"), from: place(number), at: start)
            journal.record(line("trifle", .debug), from: place(number, .debug), at: start)
        }
        #expect(sheet.all.isEmpty)
        #expect(journal.events.map(\.message) == (9...40).map { "\($0)" })
    }

    @Test("Its loggers write from the level on that the settings ask for, whenever they were had, and name no address")
    func loggers() {
        let journal = sheet.journal
        let log = journal.log
        log.debug("no")
        log.info("route via 192.0.2.1", metadata: ["to": "203.0.113.5:53"])
        #expect(sheet.all == ["route via (address)"])
        #expect(journal.events.map(\.facts) == [["to": "(address)"]])
        var settings = NodeSettings()
        settings.log = .trace
        journal.follow(settings)
        log.trace("yes")
        #expect(sheet.all.last == "yes")
    }
}
