import Foundation
import Glibc
import Lab
import Node
import TestSupport
import Testing

/// The cap of a node that runs while periods end and clocks are set.
@Suite(.serialized, .labCanBeBuilt, .clockCanBeFaked) struct PeriodTests {
    private let lab: PlainLab

    init() throws {
        lab = try PlainLab()
        try lab.node.run(["mkdir", "/run/state"])
        // Where the fake clock keeps what a process that is killed leaves.
        try lab.node.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"])
        try still(lab.node, lab.vpnEdge, knowing: "10.64.0.1", of: lab.internet, "eth0")
        try still(lab.internet, "eth0", knowing: lab.exitAddress.v4, of: lab.node, lab.vpnEdge)
    }

    /// Has a host send nothing but what it is given: no question for a router or a neighbour falls between two counts.
    private func still(
        _ host: LabHost, _ edge: String, knowing address: String, of other: LabHost, _ end: String
    ) throws {
        let station = try other.run(["cat", "/sys/class/net/\(end)/address"]).dropLast()
        try host.write("1", to: "/proc/sys/net/ipv6/conf/\(edge)/disable_ipv6")
        try host.ip("neighbour replace \(address) lladdr \(station) dev \(edge) nud permanent")
    }

    private func set(_ moment: Date) throws {
        let seconds = FakeClock.seconds(moment)
        try lab.node.run(["sh", "-c", "echo \(seconds) >/run/clock.new && mv /run/clock.new /run/clock"])
    }

    private func set(_ moment: String) throws { try set(date(moment)) }

    private static let clock = env(FakeClock.following("/run/clock"))
    private static let time = env(FakeClock.passing(by: "/run/clock"))

    private static func env(_ variables: [String: String]) -> [String] {
        ["env"] + variables.map { "\($0)=\($1)" }
    }

    private func start(
        _ cap: String = "1GB", _ arguments: [String] = [], by clock: [String] = clock
    ) throws -> ForwarderProcess {
        try ForwarderProcess(
            Binary.path.path, on: lab,
            ["--cap", cap, "--state-dir", "/run/state", "--dns", "off", "--uplink", lab.vpnEdge] + arguments,
            behind: clock)
    }

    /// A running node's word; of one that is dead, by its clock.
    private func quota(_ settings: [String] = ["--cap", "1GB"]) throws -> QuotaReport {
        let words = ["quota", "--json", "--state-dir", "/run/state"] + settings
        let json = try lab.node.run(Self.clock + ForwarderProcess.command(Binary.path.path) + words)
        return try QuotaReport(json: Data(json.utf8))
    }

    private func ping() throws { #expect(try lab.client.ping(lab.internetAddress.v4, count: 1) == 1) }

    /// Downloads until clients are stopped.
    private func useUp() throws {
        _ = try? Transfer(
            .download, bytes: 2_000_000, client: lab.client, server: lab.internet, at: lab.internetAddress.v4,
            patience: .seconds(2))
        try eventually { try quota().stage == "50% stop" }
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)
    }

    /// Both ways, at the far end.
    private func truth() throws -> Int {
        let counters = try lab.internet.counters(of: "eth0")
        return counters.receivedBytes + counters.sentBytes
    }

    @Test(
        "each period begins at its first second, and every byte is in one of them",
        arguments: isSoak ? [Months.berlin, Months.newYork[0], Months.lordHowe[1]] : [Months.lordHowe[0]])
    func turns(months: Months) throws {
        let periods = try months.periods
        let first = try #require(periods.first)
        try set(first.start + 86_400)
        let calendar = ["--cap-zone", months.zone, "--cap-reset-day", "\(months.resetDay)"]
        let node = try start("1GB", calendar, by: Self.time)
        let before = Int(try quota().usedBytes) - (try truth())
        var used: [UInt64] = []
        for (number, (start, end)) in periods.enumerated() {
            if number > 0 { try set(start) }
            let begun = try quota()
            #expect(begun.periodStart == start && begun.periodEnd == end)
            #expect(begun.history.map(\.usedBytes) == used.suffix(12))
            #expect(begun.history.map(\.periodStart) == periods[..<number].suffix(12).map(\.start))
            #expect(begun.history.map(\.periodEnd) == periods[..<number].suffix(12).map(\.end))
            try ping()
            try set(end - 1)
            let ending = try quota()
            #expect(ending.periodStart == start && ending.periodEnd == end && ending.usedBytes > 100)
            used.append(ending.usedBytes)
        }
        let (billed, passed) = (Int(used.reduce(0, +)), try truth() + before)
        #expect(billed == passed)
        #expect(node.stop() == .exited(0))
        #expect(try quota().history.count == min(12, periods.count - 1))
    }

    @Test("where a period ends, what was stopped goes on; it does not come back, whatever the clock does")
    func opensAgain() throws {
        try set("2023-12-31T22:59:50Z")
        let settings = ["--cap", "1MB", "--cap-stages", "50% stop", "--cap-zone", "Europe/Berlin"]
        var node = try start("1MB", Array(settings.dropFirst(2)))
        try useUp()
        let december = try quota()

        // Nobody asks: the node sees the year's end by itself.
        try set("2023-12-31T23:00:00Z")
        try eventually(within: .seconds(3)) { node.child.standardError.contains("no stage of the cap holds any more") }
        try ping()
        let january = try quota()
        #expect(january.stage == nil && january.usedBytes < 100_000 && january.notes.isEmpty, "\(january)")
        #expect(try january.periodEnd == date("2024-01-31T23:00:00Z"))
        #expect(january.history.map(\.usedBytes) == [december.usedBytes])

        // Who starts past its end closes it, and the clock goes back.
        #expect(node.stop() == .exited(0))
        try set("2024-04-10T12:00:00Z")
        node = try start("1MB", Array(settings.dropFirst(2)))
        let april = try quota()
        #expect(try april.periodStart == date("2024-03-31T22:00:00Z") && april.history.count == 2)
        try ping()
        for moment in ["2024-01-10T12:00:00Z", "2023-12-31T22:59:59Z", "1970-01-01T00:00:10Z"] {
            try set(moment)
            try ping()
            let back = try quota()
            #expect(back.periodStart == april.periodStart && back.history == april.history, "\(moment)")
            #expect(back.usedBytes > april.usedBytes)
            #expect(back.notes.count == 1 && back.notes[0].hasPrefix("the clock is before the period"))
        }
        // Nor for who starts anew by that clock, however the last has ended.
        for signal in [SIGKILL, SIGTERM] {
            let before = try quota()
            node.child.signal(signal)
            _ = node.child.wait(upTo: .seconds(5))
            node = try start("1MB", Array(settings.dropFirst(2)))
            let again = try quota()
            #expect(again.periodStart == april.periodStart && again.history == april.history)
            #expect(again.usedBytes >= before.usedBytes && again.chargedBytes == 0 && again.notes.count == 1)
        }
        try set("2024-04-10T12:00:01Z")
        let caughtUp = try quota()
        #expect(caughtUp.notes.isEmpty && caughtUp.periodStart == april.periodStart)
        #expect(caughtUp.usedBytes > april.usedBytes)
    }

    @Test("a clock that leaps by months closes nothing, gives nothing, and once it is back all is as before")
    func leaps() throws {
        try set("2024-01-10T12:00:00Z")
        let node = try start("1MB", ["--cap-stages", "50% stop"])
        let before = try quota()
        for moment in ["2024-02-01T00:00:00Z", "2031-06-10T12:00:00Z"] {
            try set(moment)
            try ping()
            let ahead = try quota()
            #expect(ahead.periodStart == before.periodStart && ahead.history.isEmpty && ahead.stage == nil, "\(moment)")
            #expect(ahead.usedBytes > before.usedBytes && ahead.findings == [.clockDoubtful])
            #expect(ahead.notes.count == 1 && ahead.notes[0].hasPrefix("the clock has leapt past the end"))
        }
        try useUp()
        let stopped = try quota()
        try set("2024-01-10T12:00:20Z")
        let back = try quota()
        #expect(back.periodStart == before.periodStart && back.countedSince == before.countedSince)
        #expect(back.history.isEmpty && back.findings.isEmpty)
        #expect(back.stage == "50% stop" && back.usedBytes >= stopped.usedBytes && back.chargedBytes == 0)
        withExtendedLifetime(node) {}
    }

    @Test("what is counted before the clock is set belongs to the period that it then shows")
    func unsetClock() throws {
        try set("1970-01-01T00:00:30Z")
        var node = try start("1GB", ["--cap-reset-day", "31"])
        try ping()
        let unset = try quota()
        #expect(unset.usedBytes > 100 && unset.history.isEmpty)
        #expect(unset.notes.count == 1 && unset.notes[0].contains("has not been set"), "\(unset.notes)")
        // A month later nobody has set it.
        try set("1970-03-15T00:00:00Z")
        try ping()
        #expect(try quota().history.isEmpty)

        try set("2024-02-29T08:00:00Z")
        let isSet = try quota()
        #expect(try isSet.periodStart == date("2024-02-29T00:00:00Z"))
        #expect(try isSet.periodEnd == date("2024-03-31T00:00:00Z"))
        #expect(try isSet.countedSince == date("2024-02-29T08:00:00Z"))
        #expect(isSet.usedBytes > unset.usedBytes && isSet.history.isEmpty && isSet.notes.isEmpty, "\(isSet)")

        // Started again by a machine that forgets the time.
        #expect(node.stop() == .exited(0))
        try set("1970-01-01T00:00:20Z")
        node = try start("1GB", ["--cap-reset-day", "31"])
        try ping()
        let forgotten = try quota()
        #expect(forgotten.periodStart == isSet.periodStart && forgotten.usedBytes > isSet.usedBytes)
        #expect(forgotten.history.isEmpty && forgotten.chargedBytes == 0 && forgotten.notes.count == 1)
        withExtendedLifetime(node) {}
    }
}
