import Testing

@testable import Cap

@Suite("What the clients get")
struct ThrottleTests {
    private static let allowance = Allowance(cap: ByteCount(1_000_000_000), reserve: .share(.percent(1)))
    private static let end: Int64 = 1_000_000

    private func passage(_ throttle: inout Throttle, _ used: UInt64, _ now: Int64 = 0) -> Throttle.Passage {
        throttle.follow(
            Consumption(billed: used, clients: used), of: Self.allowance, by: .usual, until: Self.end, now: now)
        return throttle.passage
    }

    @Test("Each stage lets through what it says, and a grant or a lifted cap gives it back at once")
    func stages() {
        var throttle = Throttle()
        #expect(throttle.passage == .unlimited)
        #expect(passage(&throttle, 0) == .unlimited)
        #expect(passage(&throttle, 800_000_000) == .unlimited)
        #expect(throttle.stage?.action == .warn)
        // 90 MB in 100,000 s.
        #expect(passage(&throttle, 900_000_000, 900_000) == .limited(BitRate(64_000)))
        #expect(passage(&throttle, 900_000_000, 999_000) == .limited(BitRate(720_000)))
        #expect(passage(&throttle, 950_000_000) == .limited(BitRate(512_000)))
        #expect(passage(&throttle, 990_000_000) == .stopped)
        let granted = Allowance(
            cap: Self.allowance.cap, granted: ByteCount(1_000_000_000), reserve: Self.allowance.reserve)
        let usage = Consumption(billed: 990_000_000, clients: 990_000_000)
        throttle.follow(usage, of: granted, by: .usual, until: Self.end, now: 0)
        #expect(throttle.passage == .unlimited && throttle.stage == nil)
        #expect(passage(&throttle, 990_000_000) == .stopped)
        throttle.follow(usage, of: nil, by: .usual, until: Self.end, now: 0)
        #expect(throttle.passage == .unlimited && throttle.stage == nil)
    }

    @Test("After a restart the right stage holds at once")
    func restart() {
        for used in stride(from: UInt64(0), through: 1_100_000_000, by: 7_654_321) {
            var running = Throttle()
            for before in stride(from: UInt64(0), through: used, by: 50_000_000) { _ = passage(&running, before) }
            _ = passage(&running, used)
            var restarted = Throttle()
            _ = passage(&restarted, used)
            #expect(restarted.stage == running.stage, "\(used)")
        }
    }

    @Test("A clock past the period's end, which is in doubt, does not hurry a pace")
    func paceInDoubt() {
        var throttle = Throttle()
        #expect(passage(&throttle, 900_000_000, 999_000) == .limited(BitRate(720_000)))
        #expect(passage(&throttle, 900_000_000, Self.end) == .limited(BitRate(720_000)))
        var begun = Throttle()
        #expect(passage(&begun, 900_000_000, Self.end + 1) == .limited(BitRate(64_000)), "the floor")
    }

    @Test("A pace that was left is not resumed")
    func paceAnew() {
        var throttle = Throttle()
        #expect(passage(&throttle, 900_000_000, 999_000) == .limited(BitRate(720_000)))
        #expect(passage(&throttle, 0, 999_000) == .unlimited)
        // Within a twentieth of what was in force.
        #expect(passage(&throttle, 900_000_000, 998_980) == .limited(BitRate(705_882)))
    }
}
