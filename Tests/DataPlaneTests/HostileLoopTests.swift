import Glibc
import LinuxSystem
import PacketParse
import Synchronization
import TestSupport
import Testing

@testable import DataPlane

/// What no honest kernel or peer sends: the loop counts it, and the next good packet passes.
@Suite(.serialized) struct HostileLoopTests {
    private static let good = TestPacket.udp(
        from: TestPacket.client4, 5000, to: TestPacket.remote4, 53, payload: Array(1...9))

    /// All that was received, once so many are accounted for. Fragments that are held are so in the end, after two seconds.
    private static func settled(_ wires: Wires, received: UInt64) throws -> Statistics {
        var statistics = Statistics()
        for _ in 0..<300 {
            statistics = try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics })
            if statistics.accountedFor >= received { break }
            usleep(20_000)
        }
        return statistics
    }

    /// A conversation that must still be possible.
    private static func expectPassage(_ wires: Wires) throws {
        wires.inside.send(good.octets)
        var received = wires.outside.receive()
        while let packet = received, packet.count != good.octets.count || packet[9] != 17 || packet[23] != 53 {
            received = wires.outside.receive(milliseconds: 300)
        }
        #expect(received != nil)
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `messages cut anywhere are dropped and counted`(kind: IOKind) throws {
        try withLoop(kind) { wires in
            let whole = TestPacket.tcp(from: TestPacket.client6, 1, to: TestPacket.remote6, 2, payload: [1]).octets
            let message = TestPacket.plainHeader + whole
            for length in 1..<message.count { wires.inside.send([], header: Array(message.prefix(length))) }
            let statistics = try Self.settled(wires, received: UInt64(message.count - 1))
            #expect(statistics.dropped(.malformed(.truncated)) == UInt64(message.count - 1))
            #expect(statistics.accountedFor == UInt64(message.count - 1))
            try Self.expectPassage(wires)
        }
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `the largest packets pass as they are, and what hangs on behind them does not`(kind: IOKind) throws {
        try withLoop(kind) { wires in
            let payload = (0..<65_507).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            for (client, remote, size) in [
                (TestPacket.client4, TestPacket.remote4, 65_507), (TestPacket.client6, TestPacket.remote6, 65_507),
            ] {
                let sent = TestPacket.udp(from: client, 5000, to: remote, 53, payload: Array(payload.prefix(size)))
                for tail in [0, 1, 5000] {
                    wires.inside.send(sent.octets + [UInt8](repeating: 0xee, count: tail))
                    let received = try #require(wires.outside.receive())
                    #expect(received.count == sent.octets.count)
                    #expect(received.suffix(size) == payload.prefix(size)[...])
                }
            }
        }
    }

    /// What a virtio header claims about a packet that it precedes.
    struct Claim: Sendable, CustomTestStringConvertible {
        let name: String
        let packet: [UInt8]
        let flags, type: UInt8
        let size: UInt16
        let passes: Bool

        init(_ name: String, _ packet: [UInt8], type: UInt8, size: UInt16, flags: UInt8 = 1, passes: Bool = false) {
            (self.name, self.packet, self.flags, self.type, self.size, self.passes) = (
                name, packet, flags, type, size, passes
            )
        }

        var testDescription: String { name }

        /// - Parameter headerLength: whatever it says.
        func header(headerLength: UInt16) -> [UInt8] {
            let start = UInt16(packet[0] >> 4 == 4 ? 20 : 40)
            let offset = UInt16(packet[packet[0] >> 4 == 4 ? 9 : 6] == 6 ? 16 : 6)
            let words = [headerLength, size, start, offset].flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
            return [flags, type] + words
        }

        private static let tcp4 = TestPacket.tcp(
            from: TestPacket.client4, 5000, to: TestPacket.remote4, 443, payload: .init(repeating: 7, count: 3001)
        ).with { $0.checksum = .partial }.octets
        private static let tcp6 = TestPacket.tcp(
            from: TestPacket.client6, 5000, to: TestPacket.remote6, 443, payload: .init(repeating: 7, count: 3001)
        ).with { $0.checksum = .partial }.octets
        private static let udp4 = TestPacket.udp(
            from: TestPacket.client4, 5000, to: TestPacket.remote4, 443, payload: .init(repeating: 7, count: 3001)
        ).with { $0.checksum = .partial }.octets
        private static let bare = TestPacket.tcp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 443).octets

        static let all = [
            Claim("TCP over IPv4", tcp4, type: 1, size: 1448, passes: true),
            Claim("TCP over IPv6", tcp6, type: 4, size: 1428, passes: true),
            Claim("TCP with ECN", tcp4, type: 0x81, size: 1448, passes: true),
            Claim("UDP", udp4, type: 5, size: 1200, passes: true),
            Claim("segments of nothing", tcp4, type: 1, size: 0),
            Claim("nothing to cut", bare, type: 1, size: 1448),
            Claim("IPv6 that is IPv4", tcp4, type: 4, size: 1448),
            Claim("IPv4 that is IPv6", tcp6, type: 1, size: 1428),
            Claim("UDP that is TCP", tcp4, type: 5, size: 1448),
            Claim("TCP that is UDP", udp4, type: 1, size: 1200),
            Claim("UDP fragmentation", udp4, type: 3, size: 1200),
            Claim("ECN of nothing", tcp4, type: 0x80, size: 1448),
            Claim("unknown 2", tcp4, type: 2, size: 1448),
            Claim("unknown 127", tcp4, type: 127, size: 1448),
        ]
    }

    @Test(arguments: [IOKind.poll, .uring], Claim.all)
    func `a virtio header that contradicts its packet is refused, one that lies about lengths is put right`(
        kind: IOKind, claim: Claim
    ) throws {
        try withLoop(kind) { wires in
            for lie: UInt16 in [0, 1, 54, 65_535] {
                wires.inside.send(claim.packet, header: claim.header(headerLength: lie))
                guard claim.passes else { continue }
                let message = try #require(wires.outside.receiveMessage())
                let isV4 = claim.packet[0] >> 4 == 4
                let headerLength: UInt16 = (isV4 ? 20 : 40) + (claim.type == 5 ? 8 : 20)
                #expect(Array(message.prefix(10)) == claim.header(headerLength: headerLength))
                #expect(message.count == 10 + claim.packet.count)
            }
            let statistics = try Self.settled(wires, received: 4)
            #expect(statistics.dropped(.refused(.badSuperPacket)) == (claim.passes ? 0 : 4))
            #expect(statistics.egress.superPackets == (claim.passes ? 4 : 0))
            #expect(statistics.accountedFor == 4)
            try Self.expectPassage(wires)
        }
    }

    /// The packet has 37 octets, and a tail that is not its own.
    @Test(arguments: [IOKind.poll, .uring])
    func `a checksum is pending within the packet or not at all`(kind: IOKind) throws {
        try withLoop(kind) { wires in
            for (start, offset, passes) in [
                (20, 15, true), (20, 16, false), (35, 0, true), (36, 0, false), (0, 65_535, false),
                (65_535, 65_535, false),
            ] as [(UInt16, UInt16, Bool)] {
                let words = [0, 0, start, offset].flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
                wires.inside.send(Self.good.octets + [0xee, 0xee], header: [1, 0] + words)
                guard passes else { continue }
                let message = try #require(wires.outside.receiveMessage())
                #expect(Array(message.prefix(10)) == [1, 0] + words)
            }
            let statistics = try Self.settled(wires, received: 6)
            #expect(statistics.dropped(.malformed(.truncated)) == 4)
            #expect(statistics.egress.packets == 2)
            try Self.expectPassage(wires)
        }
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `of random messages every one is accounted for`(kind: IOKind) throws {
        try withLoop(kind) { wires in
            let each = isSoak ? 50_000 : 10_000
            for wire in [wires.inside, wires.outside] { wire.drainInBackground() }
            try inParallel(2) { number in
                var random = RandomNumbers(seed: UInt64(51 + number))
                let wire = number == 0 ? wires.inside : wires.outside
                for _ in 0..<each { wire.send([], header: Self.randomMessage(&random)) }
            }
            let statistics = try Self.settled(wires, received: UInt64(2 * each))
            #expect(statistics.accountedFor == UInt64(2 * each))
            #expect(statistics.dropped(.refused(.writeRefused)) == 0)
            #expect(statistics.egress.packets > 100)
            let reasons = DropReason.all.filter { statistics.dropped($0) > 0 }.map { "\($0.name)" }
            #expect(reasons.count >= 10, "\(reasons)")
        }
    }

    /// Random octets, or a good message with some octets changed; never empty.
    private static func randomMessage(_ random: inout RandomNumbers) -> [UInt8] {
        guard random.next() & 3 != 0 else { return random.octets(Int.random(in: 1...80, using: &random)) }
        let isV4 = Bool.random(using: &random)
        let (client, remote) =
            isV4 ? (TestPacket.client4, TestPacket.remote4) : (TestPacket.client6, TestPacket.remote6)
        let port = UInt16.random(in: 1...20, using: &random)
        let packet: TestPacket =
            switch random.next() & 3 {
            case 0:
                .tcp(
                    from: client, port, to: remote, 443, flags: UInt8(truncatingIfNeeded: random.next()),
                    payload: [1, 2, 3])
            case 1: .udp(from: client, port, to: remote, 443, payload: [1, 2, 3])
            case 2: .echo(from: client, to: remote, identifier: port)
            default: .unreachable(from: remote, to: client, quoting: random.octets(40))
            }
        var message = TestPacket.plainHeader + packet.octets
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            message[Int.random(in: 0..<message.count, using: &random)] = UInt8(truncatingIfNeeded: random.next())
        }
        return random.next() & 7 == 0
            ? Array(message.prefix(Int.random(in: 1...message.count, using: &random))) : message
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `under a flood the loop answers, and stops when asked to`(kind: IOKind) throws {
        try withLoop(kind) { wires in
            // A sender that waits for nobody, as the kernel is to a tun.
            _ = fcntl(wires.inside.descriptor, F_SETFL, O_NONBLOCK)
            let answers = Mutex<[UInt64?]>([])
            try inParallel(3) { number in
                guard number < 2 else {
                    usleep(200_000)
                    let answer = try? wires.inquiries.ask { _, snapshot in
                        snapshot.statistics.dropped(.refused(.hopLimitExceeded))
                    }
                    return answers.withLock { $0.append(answer) }
                }
                let message = TestPacket.plainHeader + Self.good.with { $0.hopLimit = 1 }.octets
                let end = MonotonicClock().nanoseconds + 1_000_000_000
                while MonotonicClock().nanoseconds < end { for _ in 0..<200 { wires.inside.send([], header: message) } }
            }
            #expect(answers.withLock { $0 }.allSatisfy { $0.map { $0 > 0 } == true })
        }
    }
}

extension Statistics {
    /// Packets forwarded and packets dropped; one that was answered by an error is dropped.
    fileprivate var accountedFor: UInt64 {
        egress.packets + ingress.packets + hairpin.packets + DropReason.all.reduce(0) { $0 + dropped($1) }
    }
}
