import Cap
import Foundation
import Node
import TestSupport
import Testing

/// Billing periods as the real program finds them by its clock.
@Suite(.serialized, .clockCanBeFaked) struct CalendarTests {
    private let folder = "/tmp/forwarder-test-\(UUID().uuidString)"

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        // A ledger that some node has left.
        _ = try Bookkeeper(
            in: folder, 0..<1, under: nil,
            from: Reading(epoch: Epoch(bootID: 0, map: 0), counts: MeterCounts()), at: Moment(wall: 0, steady: 0))
    }

    private func quota(_ words: [String], at moment: Date, _ zone: String, _ resetDay: Int) throws -> QuotaReport {
        let settings = [
            "--cap", "1GB", "--cap-zone", zone, "--cap-reset-day", "\(resetDay)", "--state-dir", folder,
            "--control-socket", folder + "/nobody",
        ]
        let ending = try Binary.run(
            ["quota"] + words + ["--json"] + settings, environment: FakeClock.showing(moment))
        try #require(ending.code == 0, "\(ending.out)")
        return try QuotaReport(json: Data(ending.out.utf8))
    }

    @Test(
        "the first second of a period and its last are in it",
        arguments: isSoak ? [Months.berlin] + Months.newYork + Months.lordHowe + Months.few : Months.few)
    func period(months: Months) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for (start, end) in try months.periods {
            for moment in [max(start, Date(timeIntervalSince1970: 0)), end - 1] {
                // A reset takes the clock's word even where that is behind.
                let report = try quota(["reset", "--yes"], at: moment, months.zone, months.resetDay)
                #expect(report.periodStart == start && report.periodEnd == end, "at \(moment)")
                #expect(report.countedSince == moment && report.usedBytes == 0)
            }
        }
    }

    @Test("a period that ended while no node runs is closed: a grant is for the one that the clock is in")
    func endedMeanwhile() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (december, january) = (try date("2023-12-31T23:59:59Z"), try date("2024-01-01T00:00:00Z"))
        #expect(try quota(["reset", "--yes"], at: december, "UTC", 1).history.isEmpty)
        #expect(try quota(["grant", "2GB"], at: december, "UTC", 1).limitBytes == 3_000_000_000)
        let begun = try quota([], at: january, "UTC", 1)
        #expect(begun.periodStart == january && begun.limitBytes == 1_000_000_000)
        #expect(begun.history.map(\.periodEnd) == [january] && begun.history.map(\.limitBytes) == [3_000_000_000])
        #expect(try quota([], at: december, "UTC", 1).history.isEmpty, "who only asks changes nothing")
        let granted = try quota(["grant", "5GB"], at: january, "UTC", 1)
        #expect(granted.periodStart == january && granted.limitBytes == 6_000_000_000)
        let behind = try quota([], at: december, "UTC", 1)
        #expect(behind.findings == [.clockDoubtful])
        #expect(behind.periodStart == january && behind.limitBytes == 6_000_000_000, "a closed one does not open again")
        #expect(behind.history == granted.history)
    }

    @Test("GNU date finds the same", .enabled(if: isSoak, "takes minutes: make soak"), arguments: Self.zones)
    func oracle(zone: String) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for resetDay in [1, 15, 30, 31] {
            let beginnings = try (0...26).map { try Self.beginning(ofMonth: $0, zone, resetDay) }
            for (start, end) in zip(beginnings, beginnings.dropFirst()) {
                for moment in [start, end - 1] {
                    let report = try quota(["reset", "--yes"], at: moment, zone, resetDay)
                    #expect(report.periodStart == start && report.periodEnd == end, "day \(resetDay) at \(moment)")
                }
            }
        }
    }

    private static let zones = [
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC",
    ]

    /// - Parameter month: since January 2023.
    private static func beginning(ofMonth month: Int, _ zone: String, _ resetDay: Int) throws -> Date {
        // What a month lacks, GNU date refuses.
        for day in (1...resetDay).reversed().prefix(4) {
            let text = "\(2023 + month / 12)-\(month % 12 + 1)-\(day) 00:00"
            let ending = try Binary.shell("TZ=\(zone) date --date '\(text)' +%s")
            if ending.code == 0, let seconds = Double(ending.out.dropLast()) {
                return Date(timeIntervalSince1970: seconds)
            }
        }
        throw CocoaError(.formatting)
    }
}

/// When a calendar's periods begin, one after the other.
struct Months: Sendable, CustomTestStringConvertible {
    let zone: String
    let resetDay: Int
    private let beginnings: [String]

    private init(_ zone: String, _ resetDay: Int, _ beginnings: String...) {
        self.zone = zone
        self.resetDay = resetDay
        self.beginnings = beginnings
    }

    var periods: [(start: Date, end: Date)] {
        get throws {
            let dates = try beginnings.map { try date($0) }
            return zip(dates, dates.dropFirst()).map { (start: $0, end: $1) }
        }
    }

    var testDescription: String { "\(zone) from \(beginnings.first ?? "never")" }

    /// Months of 28 to 31 days, two of them an hour short and long; twelve end.
    static let berlin = Months(
        "Europe/Berlin", 31,
        "2023-01-31T00:00:00+01:00", "2023-02-28T00:00:00+01:00", "2023-03-31T00:00:00+02:00",
        "2023-04-30T00:00:00+02:00", "2023-05-31T00:00:00+02:00", "2023-06-30T00:00:00+02:00",
        "2023-07-31T00:00:00+02:00", "2023-08-31T00:00:00+02:00", "2023-09-30T00:00:00+02:00",
        "2023-10-31T00:00:00+01:00", "2023-11-30T00:00:00+01:00", "2023-12-31T00:00:00+01:00",
        "2024-01-31T00:00:00+01:00", "2024-02-29T00:00:00+01:00", "2024-03-31T00:00:00+01:00")

    static let newYork = [
        Months(
            "America/New_York", 1,
            "2024-03-01T00:00:00-05:00", "2024-04-01T00:00:00-04:00", "2024-05-01T00:00:00-04:00"),
        Months(
            "America/New_York", 1,
            "2024-11-01T00:00:00-04:00", "2024-12-01T00:00:00-05:00", "2025-01-01T00:00:00-05:00"),
    ]

    /// Half an hour of daylight saving.
    static let lordHowe = [
        Months(
            "Australia/Lord_Howe", 15,
            "2024-03-15T00:00:00+11:00", "2024-04-15T00:00:00+10:30", "2024-05-15T00:00:00+10:30"),
        Months(
            "Australia/Lord_Howe", 15, "2024-09-15T00:00:00+10:30", "2024-10-15T00:00:00+11:00"),
    ]

    /// Went over the date line and had no 30 December.
    static let apia = Months(
        "Pacific/Apia", 30,
        "2011-11-30T00:00:00-10:00", "2011-12-31T00:00:00+14:00", "2012-01-30T00:00:00+14:00")

    /// A clock that was never set, west of its first second.
    static let unset = Months(
        "America/New_York", 31,
        "1969-12-31T00:00:00-05:00", "1970-01-31T00:00:00-05:00")

    static let few = [apia, unset, newYork[0], lordHowe[1]]
}

func date(_ text: String) throws -> Date { try Date(text, strategy: .iso8601) }
