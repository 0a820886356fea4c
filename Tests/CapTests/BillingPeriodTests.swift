import TestSupport
import Testing

@testable import Cap

@Suite("What a period will have used")
struct BillingPeriodTests {
    private static let day: Int64 = 86_400

    @Test("As much again as the time that is left, the first day counting whole")
    func projection() {
        let period = BillingPeriod(start: 0, end: 30 * Self.day)
        for (used, now, expected) in [
            (0, 0, 0), (1_000, 0, 31_000), (1_000, 60, 30_999), (1_000, Self.day, 30_000),
            (10_000, 10 * Self.day, 30_000), (35_000_000_000, 15 * Self.day, 70_000_000_000),
            (1_000, 30 * Self.day, 1_000), (1_000, 31 * Self.day, 1_000), (1_000, -Self.day, 31_000),
            (.max, Self.day, .max),
        ] as [(UInt64, Int64, UInt64)] {
            #expect(period.projected(used: used, now: now) == expected, "\(used) at \(now)")
        }
    }

    @Test("A count that began later is judged by its own time")
    func countedLater() {
        let period = BillingPeriod(start: 0, end: 30 * Self.day)
        #expect(period.projected(used: 1_000, now: 20 * Self.day, counted: 18 * Self.day) == 6_000)
        #expect(period.projected(used: 1_000, now: 20 * Self.day, counted: 20 * Self.day) == 11_000)
        #expect(period.projected(used: 1_000, now: 10 * Self.day, counted: -Self.day) == 3_000)
        #expect(period.projected(used: 1_000, now: 10 * Self.day, counted: 99 * Self.day) == 21_000)
    }

    @Test("Random moments agree with the definition in floating point, and never fall below what is used")
    func oracle() {
        var random = RandomNumbers(seed: 73)
        for _ in 0..<20_000 {
            let start = Int64.random(in: -2_000_000...4_000_000_000, using: &random)
            let period = BillingPeriod(start: start, end: start + Self.day * .random(in: 27...32, using: &random))
            let now = Int64.random(in: period.start..<period.end, using: &random)
            let used = UInt64.random(in: 0...(1 << UInt64.random(in: 1...60, using: &random)), using: &random)
            let projected = period.projected(used: used, now: now)
            let rate = Double(used) / Double(max(Self.day, now - period.start))
            let naive = min(Double(UInt64.max), Double(used) + rate * Double(period.end - now))
            #expect(abs(Double(projected) - naive) <= 2 + naive * 1e-9, "\(used) at \(now) in \(period)")
            #expect(projected >= used)
        }
    }
}
