import Glibc
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

/// The limits on errors in a loop: what is sent, suppressed, and counted.
@Suite(.serialized) struct LimitedErrorTests {
    @Test(arguments: [IOKind.poll, .uring])
    func `of a hundred probes six are answered, of a hundred too long packets fifty, and the rest is counted`(
        kind: IOKind
    ) throws {
        try withLoop(kind, outside: .outside(mtu: 1280)) { wires in
            let probe = TestPacket.udp(from: TestPacket.client4, 1, to: TestPacket.remote4, 2).with { $0.hopLimit = 1 }
            let long = TestPacket.udp(
                from: TestPacket.client6, 1, to: TestPacket.remote6, 2, payload: .init(repeating: 0, count: 1233))
            let start = ContinuousClock.now
            for _ in 0..<100 { wires.inside.send(probe.octets) }
            for _ in 0..<100 { wires.inside.send(long.octets) }
            var statistics = Statistics()
            for _ in 0..<2000 where statistics.dropped(.refused(.packetTooBig)) < 100 {
                statistics = try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics })
                usleep(1000)
            }
            // A machine that is slow gives the buckets time to fill: a millisecond for another of the long ones.
            let passed = (ContinuousClock.now - start) / .milliseconds(1)
            #expect((6...7).contains(statistics.sent(.timeExceeded)))
            #expect(statistics.sent(.packetTooBig) >= 50 && Double(statistics.sent(.packetTooBig)) <= 51 + passed)
            let sent = statistics.sent(.timeExceeded) + statistics.sent(.packetTooBig)
            #expect(statistics.errorsSuppressed == 200 - sent)
            var received = 0
            while wires.inside.receive(milliseconds: 100) != nil { received += 1 }
            #expect(received == sent)
            #expect(statistics.dropped(.refused(.hopLimitExceeded)) == 100)
            #expect(statistics.dropped(.refused(.packetTooBig)) == 100)
        }
    }

    @Test func `an error that the port does not take is not counted as sent`() throws {
        try withLoop(.poll) { wires in
            // Nobody reads: the socket's room is soon used up. io_uring would wait for more room; a tun has none to wait for.
            let last = TestPacket.udp(from: TestPacket.client4, 1, to: TestPacket.remote4, 2).with { $0.hopLimit = 1 }
            for number in 0..<400 {
                let packet = last.with { $0.source[3] = UInt8(number / 2 + 2) }
                wires.inside.send(packet.octets)
                if number % 40 == 39 { usleep(45_000) }
            }
            var statistics = Statistics()
            for _ in 0..<100 where statistics.dropped(.refused(.hopLimitExceeded)) < 400 {
                usleep(20_000)
                statistics = try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics })
            }
            var received: UInt64 = 0
            while wires.inside.receive(milliseconds: 50) != nil { received += 1 }
            #expect(statistics.sent(.timeExceeded) == received)
            #expect(statistics.sent(.timeExceeded) + statistics.errorsSuppressed == 400)
            #expect(statistics.dropped(.refused(.hopLimitExceeded)) == 400)
            #expect(statistics.dropped(.refused(.writeRefused)) == 0)
        }
    }
}
