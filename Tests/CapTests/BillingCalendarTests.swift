import Foundation
import TestSupport
import Testing

@testable import Cap

@Suite("Billing periods")
struct BillingCalendarTests {
    static let zones = [
        "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "America/Havana",
        "America/Santiago", "Africa/Monrovia", "Antarctica/Troll", "Asia/Kathmandu", "Asia/Tehran", "Asia/Pyongyang",
        "Atlantic/Azores", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati",
    ]

    @Test(
        "Periods follow one another without gap or overlap, each from the day that a walk through the years finds",
        arguments: zones)
    func periods(zone name: String) throws {
        let zone = try #require(Zone(name))
        let days = DayBeginnings(in: zone, years: 1970...2100)
        var random = RandomNumbers(seed: 74)
        for resetDay in isSoak ? Array(1...31) : [1, 29, 31, .random(in: 2...30, using: &random)] {
            let calendar = BillingCalendar(resetDay: resetDay, zone: zone)
            var period = calendar.period(containing: days.begins(1970, 2, min(resetDay, 28)))
            for month in (1970 * 12 + 2)..<(2100 * 12 + 11) {
                let next = calendar.period(containing: period.end)
                let (year, month) = (month / 12, month % 12 + 1)
                let first = days.begins(year, month, min(resetDay, DayBeginnings.length(year, month)))
                #expect(
                    next.start == period.end && next.start == first,
                    "\(name), reset day \(resetDay), \(year)-\(month): \(next) after \(period), expected \(first)")
                let moments = [.random(in: next.start..<next.end, using: &random), next.end - 1]
                #expect(
                    moments.allSatisfy { next.seconds.contains($0) && calendar.period(containing: $0) == next },
                    "\(name), reset day \(resetDay), \(year)-\(month): \(moments) in \(next)")
                period = next
            }
        }
    }

    @Test(
        "A day begins when its zone's clocks first show it, or a later one",
        arguments: [
            // Clocks that skip midnight.
            ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"),
            ("America/Santiago", "2022-09-11", "2022-09-11T04:00:00Z"),
            ("America/Havana", "2024-03-10", "2024-03-10T05:00:00Z"),
            ("Asia/Beirut", "2022-03-27", "2022-03-26T22:00:00Z"),
            ("Asia/Tehran", "2022-03-22", "2022-03-21T20:30:00Z"),
            ("Asia/Kathmandu", "1986-01-01", "1985-12-31T18:30:00Z"),
            ("Atlantic/Azores", "2024-03-31", "2024-03-31T01:00:00Z"),
            ("Africa/Monrovia", "1972-01-07", "1972-01-07T00:44:30Z"),
            // That are set back to the day before, or go through midnight twice.
            ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00:00Z"),
            ("America/St_Johns", "2006-10-29", "2006-10-29T02:30:00Z"),
            ("America/Havana", "2024-11-03", "2024-11-03T04:00:00Z"),
            ("Asia/Pyongyang", "2015-08-15", "2015-08-14T15:30:00Z"),
            // That skip a day.
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
            ("Pacific/Fakaofo", "2011-12-30", "2011-12-30T11:00:00Z"),
            ("Pacific/Kiritimati", "1994-12-31", "1994-12-31T10:00:00Z"),
            ("Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00:00Z"),
            // That change by half an hour, by two, or never.
            ("Australia/Lord_Howe", "2024-10-06", "2024-10-05T13:30:00Z"),
            ("Antarctica/Troll", "2024-03-31", "2024-03-31T00:00:00Z"),
            ("Europe/Berlin", "2099-07-31", "2099-07-30T22:00:00Z"), ("UTC", "2000-02-29", "2000-02-29T00:00:00Z"),
        ])
    func beginnings(zone: String, day: String, instant: String) throws {
        let parts = day.split(separator: "-").compactMap { Int($0) }
        let zone = try #require(Zone(zone))
        let calendar = BillingCalendar(resetDay: parts[2], zone: zone)
        let start = try Int64(Date(instant, strategy: .iso8601).timeIntervalSince1970)
        #expect(calendar.period(containing: start).start == start)
        #expect(calendar.period(containing: start - 1).end == start)
    }

    @Test("A reset day that a month lacks is its last day")
    func shortMonths() throws {
        let calendar = BillingCalendar(resetDay: 31, zone: .utc)
        var moment = try Int64(Date("2024-01-31T00:00:00Z", strategy: .iso8601).timeIntervalSince1970)
        var starts: [String] = []
        for _ in 0..<14 {
            let period = calendar.period(containing: moment)
            starts.append(String(Date(timeIntervalSince1970: Double(period.start)).ISO8601Format().dropLast(10)))
            moment = period.end
        }
        #expect(
            starts == [
                "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-30", "2024-07-31",
                "2024-08-31", "2024-09-30", "2024-10-31", "2024-11-30", "2024-12-31", "2025-01-31", "2025-02-28",
            ])
    }

    @Test("Clocks that were never set, or are set far ahead, have a period, too")
    func strangeClocks() {
        for moment in [0, 1, -1, 4_133_980_800, 9_223_372_036] as [Int64] {
            for zone in [Zone.utc, Zone("Pacific/Kiritimati") ?? .utc] {
                let period = BillingCalendar(resetDay: 31, zone: zone).period(containing: moment)
                #expect(period.seconds.contains(moment))
                #expect((28...31).contains((period.end - period.start) / 86_400), "\(period)")
            }
        }
    }
}

/// When each day began, from a walk through the years in quarters of a day, and by half minutes where clocks were set.
private struct DayBeginnings {
    private var instants: [Int64: Int64] = [:]

    init(in zone: Zone, years: ClosedRange<Int>) {
        let start = Int64(Self.number(years.lowerBound, 1, 1) - 1) * 86_400
        let end = Int64(Self.number(years.upperBound, 12, 31) + 2) * 86_400
        var offset = zone.offset(at: start)
        var last = Self.day(start + offset)
        for quarter in stride(from: start, to: end, by: 21_600) {
            let next = zone.offset(at: quarter + 21_600)
            let midnight = (Self.day(quarter + offset) + 1) * 86_400 - offset
            let looks =
                next != offset
                ? Array(stride(from: quarter, to: quarter + 21_600, by: 30))
                : [quarter, midnight].filter { $0 < quarter + 21_600 }
            for instant in looks {
                let shown = Self.day(instant + zone.offset(at: instant))
                while last < shown {
                    last += 1
                    instants[last] = instant
                }
            }
            offset = next
        }
    }

    func begins(_ year: Int, _ month: Int, _ day: Int) -> Int64 {
        instants[Int64(Self.number(year, month, day))] ?? .min
    }

    static func length(_ year: Int, _ month: Int) -> Int {
        let isLeap = year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400))
        return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }

    /// Of a day since 1970, by counting.
    private static func number(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let years = (1970..<year).reduce(0) { $0 + 337 + length($1, 2) }
        return years + (1..<month).reduce(0) { $0 + length(year, $1) } + day - 1
    }

    private static func day(_ shown: Int64) -> Int64 { (shown - (shown % 86_400 + 86_400) % 86_400) / 86_400 }
}
