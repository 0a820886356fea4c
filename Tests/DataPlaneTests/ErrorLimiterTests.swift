import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// The limits on errors against a model that keeps every moment at which one was sent.
struct ErrorLimiterTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func `one destination gets six at once, then one a second`() throws {
        var limiter = try ErrorLimiter()
        var admitted: [UInt64] = []
        for step in 0..<1000 {
            let now = 77 * Self.second + UInt64(step) * Self.second / 100
            if limiter.admit(.timeExceeded, toHash: 9, now: now) { admitted.append(UInt64(step) / 100) }
        }
        #expect(admitted == [0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    }

    @Test func `all destinations together get fifty at once, then a thousand a second`() throws {
        var limiter = try ErrorLimiter()
        var admitted = 0
        for step in 0..<40_000 {
            let now = 77 * Self.second + UInt64(step) * 50_000
            if limiter.admit(.hostUnreachable, toHash: UInt64(step), now: now) { admitted += 1 }
        }
        // Two seconds.
        #expect((2040...2051).contains(admitted))
    }

    @Test func `no flood of others keeps from learning that a packet was too big`() throws {
        var limiter = try ErrorLimiter()
        for number in 0..<1000 { _ = limiter.admit(.timeExceeded, toHash: UInt64(number), now: Self.second) }
        let admitted = (0..<100).count { _ in limiter.admit(.packetTooBig, toHash: 1, now: Self.second) }
        #expect(admitted == 50)
    }

    @Test(arguments: ICMPError.allCases)
    func `no second ever sees more than the burst and the rate allow`(error: ICMPError) throws {
        var random = RandomNumbers(seed: UInt64(error.rawValue) + 5)
        var limiter = try ErrorLimiter()
        var now = 5 * Self.second
        var sent: [(UInt64, UInt64)] = []
        for _ in 0..<20_000 {
            now += UInt64.random(in: 0...200_000, using: &random)
            let destination = UInt64.random(in: 0..<300, using: &random)
            if limiter.admit(error, toHash: destination, now: now) { sent.append((now, destination)) }
        }
        #expect(sent.count > 500)
        let excess = sent.indices.count { first in
            sent[first...].prefix { $0.0 < sent[first].0 + Self.second }.count > 1050
        }
        #expect(excess == 0)
        guard error != .packetTooBig else { return }
        for destination in UInt64(0)..<300 {
            let times = sent.filter { $0.1 == destination }.map(\.0)
            let elapsed = (now - 5 * Self.second) / Self.second
            #expect(times.count <= 6 + Int(elapsed) + 1)
        }
    }
}
