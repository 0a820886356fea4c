import TestSupport
import Testing

@testable import Cap

@Suite("What is left over the time left")
struct PaceTests {
    private static let cap = Allowance(cap: ByteCount(35_000_000_000), reserve: .share(.percent(1)))

    @Test("No number that a ledger may hold is too large")
    func extremes() {
        let most = Allowance(cap: ByteCount(.max), reserve: .share(.percent(0)))
        for billed: UInt64 in [0, 1, 1 << 63, .max - 1, .max] {
            for clients: UInt64 in [0, 1 << 63, .max] {
                let rate = BitRate.lasting(
                    until: .max, from: .max - 1, Consumption(billed: billed, clients: clients), of: most,
                    floor: BitRate(64_000))
                #expect(BitRate.sensible.contains(rate), "\(billed), \(clients)")
            }
        }
    }

    @Test("Left bytes in bits, over the seconds left, as far as they are the clients'")
    func rate() {
        let day: Int64 = 86_400
        for (billed, clients, seconds, expected) in [
            // 3.15 GB in three days: 97,222 bit/s.
            (31_500_000_000, 31_500_000_000, 3 * day, 97_222),
            (31_500_000_000, 28_350_000_000, 3 * day, 87_500),
            // Of what is counted less than half is the clients': half is taken.
            (31_500_000_000, 0, 3 * day, 64_000), (31_500_000_000, 1_000, day, 145_833),
            // More of the clients' than is counted: one direction of two, all is taken.
            (31_500_000_000, 60_000_000_000, 3 * day, 97_222),
            (0, 0, 30 * day, 106_944), (34_650_000_000, 34_650_000_000, 1, 64_000),
            (34_649_999_999, 34_649_999_999, 1, 64_000), (34_640_000_000, 34_640_000_000, 1, 80_000_000),
            (34_640_000_000, 34_640_000_000, 0, 80_000_000), (40_000_000_000, 0, day, 64_000),
            (1_000_000_000, 1_000_000_000, 1, 100_000_000_000),
        ] as [(UInt64, UInt64, Int64, UInt64)] {
            let rate = BitRate.lasting(
                until: 1_000_000 + seconds, from: 1_000_000, Consumption(billed: billed, clients: clients),
                of: Self.cap,
                floor: BitRate(64_000))
            #expect(rate.bitsPerSecond == expected, "\(billed) \(clients) \(seconds)")
        }
    }

    @Test("Random moments agree with the definition in floating point")
    func oracle() {
        var random = RandomNumbers(seed: 71)
        for _ in 0..<20_000 {
            let cap = UInt64.random(in: 1_000_000...(1 << UInt64.random(in: 21...59, using: &random)), using: &random)
            let allowance = Allowance(
                cap: ByteCount(cap), granted: ByteCount(.random(in: 0...cap, using: &random)),
                reserve: .share(Share(basisPoints: .random(in: 0...1_000, using: &random))))
            let billed = UInt64.random(in: 0...(allowance.limit + allowance.limit / 100), using: &random)
            let clients = UInt64.random(in: 0...(billed + billed / 5), using: &random)
            let seconds = Int64.random(in: -10...2_678_400, using: &random)
            let floor = BitRate(.random(in: 8_000...1_000_000, using: &random))
            let rate = BitRate.lasting(
                until: seconds, from: 0, Consumption(billed: billed, clients: clients), of: allowance, floor: floor)

            let left = max(0, Double(allowance.end) - Double(billed))
            let ratio = billed == 0 ? 1 : min(1, max(0.5, Double(clients) / Double(billed)))
            let naive = min(1e11, max(Double(floor.bitsPerSecond), left * 8 / Double(max(1, seconds)) * ratio))
            // Doubles hold 53 bits, the rate is cut to whole ones, and half of an odd count is rounded up.
            let error = abs(Double(rate.bitsPerSecond) - naive)
            #expect(error <= 2 + naive * 1e-6, "\(billed) \(clients) \(seconds) of \(allowance)")
        }
    }

    @Test("A rate within a twentieth of the one in force is not taken, any other is")
    func hysteresis() {
        var random = RandomNumbers(seed: 72)
        var pace = Pace(BitRate(1_000_000))
        for _ in 0..<20_000 {
            let before = pace.rate.bitsPerSecond
            let other = UInt64.random(in: (before / 10 * 9)...(before / 10 * 11), using: &random)
            pace.follow(BitRate(other))
            let isNear = max(before, other) - min(before, other) <= before / 20
            #expect(pace.rate.bitsPerSecond == (isNear ? before : other))
            if pace.rate.bitsPerSecond < 100_000 || pace.rate.bitsPerSecond > 10_000_000_000 {
                pace = Pace(BitRate(1_000_000))
            }
        }
    }

    @Test(
        "Who takes all that the pace lets through has some left until the last minute",
        arguments: 0..<(isSoak ? 100 : 10))
    func lasts(seed: UInt64) {
        var random = RandomNumbers(seed: seed)
        let allowance = Allowance(cap: ByteCount(350_000_000_000), reserve: .share(.percent(1)))
        let stages = Stages([Stage(.share(.percent(90)), .pace(floor: BitRate(8_000)))])
        let end: Int64 = 2_592_000
        var now = Int64.random(in: 0...(end - 7_200), using: &random)
        var used: UInt64 = 315_000_000_000
        var throttle = Throttle()
        var rates: [BitRate] = []
        while now < end - 60 {
            throttle.follow(Consumption(billed: used, clients: used), of: allowance, by: stages, until: end, now: now)
            guard case .limited(let rate) = throttle.passage else {
                Issue.record("seed \(seed): \(throttle.passage)")
                return
            }
            if rate != rates.last { rates.append(rate) }
            let seconds = Int64.random(in: 1...max(1, min(60, (end - now) / 20)), using: &random)
            // Now and then nobody wants anything.
            if Int.random(in: 0..<10, using: &random) > 0 { used += rate.bitsPerSecond * UInt64(seconds) / 8 }
            now += seconds
            #expect(used < allowance.end, "seed \(seed): \(end - now) s before the end")
        }
        #expect(rates.count < 400, "seed \(seed)")
    }
}
