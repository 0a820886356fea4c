import PacketParse
import Testing

@testable import DataPlane

/// Two clients that reach each other by the exit address (RFC 4787 REQ-9, RFC 5382 REQ-8).
@Suite(.serialized) struct HairpinTests {
    /// Two clients of one family, and what stands for both outside.
    private struct Ends {
        let anna, bela, remote, exit, node: [UInt8]

        init(isV4: Bool) {
            anna = isV4 ? TestPacket.client4 : TestPacket.client6
            bela = Array(anna.dropLast() + [77])
            remote = isV4 ? TestPacket.remote4 : TestPacket.remote6
            exit = isV4 ? TestPacket.exit4 : TestPacket.exit6
            node = isV4 ? TestPacket.node4 : TestPacket.node6
        }
    }

    /// The outside port of a client's socket, as a STUN server would tell it.
    private static func port(of client: [UInt8], _ port: UInt16, _ ends: Ends, _ wires: Wires) throws -> UInt16 {
        wires.inside.send(TestPacket.udp(from: client, port, to: ends.remote, 3478).octets)
        return try #require(try wires.outside.receive()?.summary().sourcePort)
    }

    private static func dropped(_ rule: DropReason.Rule, _ wires: Wires) throws -> UInt64 {
        try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics.dropped(.refused(rule)) })
    }

    @Test(arguments: [IOKind.poll, .uring], [true, false])
    func `two clients that know each other's outside port talk, once both have spoken`(kind: IOKind, isV4: Bool) throws
    {
        let ends = Ends(isV4: isV4)
        try withLoop(kind) { wires in
            let anna = try Self.port(of: ends.anna, 5000, ends, wires)
            let bela = try Self.port(of: ends.bela, 6000, ends, wires)
            #expect(anna != bela)

            // Bela has not spoken to Anna: his way is closed to her, as to any stranger.
            wires.inside.send(TestPacket.udp(from: ends.anna, 5000, to: ends.exit, bela, payload: [1]).octets)
            #expect(wires.inside.receive(milliseconds: 50) == nil)
            #expect(try Self.dropped(.noFlow, wires) == 1)

            wires.inside.send(TestPacket.udp(from: ends.bela, 6000, to: ends.exit, anna, payload: [2]).octets)
            let first = TestPacket.udp(from: ends.exit, bela, to: ends.anna, 5000, payload: [2])
            #expect(wires.inside.receive() == first.with { $0.hopLimit = 62 }.octets)
            wires.inside.send(TestPacket.udp(from: ends.anna, 5000, to: ends.exit, bela, payload: [3]).octets)
            let second = TestPacket.udp(from: ends.exit, anna, to: ends.bela, 6000, payload: [3])
            #expect(wires.inside.receive() == second.with { $0.hopLimit = 62 }.octets)

            let statistics = try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics })
            #expect(statistics.hairpin.packets == 2)
            #expect(statistics.egress.packets == 2)
            #expect(statistics.ingress.packets == 0)
            #expect(wires.outside.receive(milliseconds: 50) == nil)
        }
    }

    @Test(arguments: [IOKind.poll, .uring], [true, false])
    func `fragments take the same way, in any order, and an error about one finds back`(kind: IOKind, isV4: Bool) throws
    {
        let ends = Ends(isV4: isV4)
        try withLoop(kind) { wires in
            let anna = try Self.port(of: ends.anna, 5000, ends, wires)
            let bela = try Self.port(of: ends.bela, 6000, ends, wires)
            wires.inside.send(TestPacket.udp(from: ends.anna, 5000, to: ends.exit, bela).octets)
            let payload = (0..<3001).map { UInt8(truncatingIfNeeded: $0) }
            let sent = TestPacket.udp(from: ends.bela, 6000, to: ends.exit, anna, payload: payload)
            for fragment in sent.fragments(of: 1480).reversed() { wires.inside.send(fragment) }
            let received = (0..<3).compactMap { _ in wires.inside.receive() }
            let expected = TestPacket.udp(from: ends.exit, bela, to: ends.anna, 5000, payload: payload)
                .with { $0.hopLimit = 62 }
            #expect(Set(received) == Set(expected.fragments(of: 1480)))

            // Nobody listens at Anna's: Bela learns it, about the packet that he sent.
            let error = TestPacket.unreachable(
                from: ends.anna, to: ends.exit, quoting: Array(expected.octets.prefix(isV4 ? 28 : 48)))
            wires.inside.send(error.octets)
            let told = TestPacket.unreachable(
                from: ends.exit, to: ends.bela,
                quoting: Array(sent.with { $0.hopLimit = 62 }.octets.prefix(isV4 ? 28 : 48)))
            #expect(wires.inside.receive() == told.with { $0.hopLimit = 62 }.octets)
        }
    }

    @Test(arguments: [IOKind.poll, .uring], [true, false])
    func `a TCP handshake passes between two clients that both send first`(kind: IOKind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind) { wires in
            func open(_ client: [UInt8], _ port: UInt16) throws -> UInt16 {
                wires.inside.send(TestPacket.tcp(from: client, port, to: ends.remote, 443, flags: 2).octets)
                return try #require(try wires.outside.receive()?.summary().sourcePort)
            }
            let anna = try open(ends.anna, 5000)
            let bela = try open(ends.bela, 6000)
            wires.inside.send(TestPacket.tcp(from: ends.anna, 5000, to: ends.exit, bela, flags: 2).octets)
            #expect(wires.inside.receive(milliseconds: 50) == nil)
            #expect(try Self.dropped(.noFlow, wires) == 1)
            wires.inside.send(TestPacket.tcp(from: ends.bela, 6000, to: ends.exit, anna, flags: 2).octets)
            let arrived = try #require(try wires.inside.receive()?.summary())
            #expect(arrived.destination == IPAddress(ends.anna) && arrived.destinationPort == 5000)
            #expect(arrived.source == IPAddress(ends.exit))
            wires.inside.send(
                TestPacket.tcp(from: ends.anna, 5000, to: ends.exit, arrived.sourcePort, flags: 0x12).octets)
            let answered = try #require(try wires.inside.receive()?.summary())
            #expect(answered.destination == IPAddress(ends.bela) && answered.destinationPort == 6000)
            #expect(answered.tcpFlags == [.syn, .ack])
        }
    }

    @Test(arguments: [IOKind.poll, .uring], [true, false])
    func `a later fragment whose first was refused is not held`(kind: IOKind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind) { wires in
            let anna = try Self.port(of: ends.anna, 5000, ends, wires)
            _ = try Self.port(of: ends.bela, 6000, ends, wires)
            let datagram = TestPacket.udp(
                from: ends.bela, 6000, to: ends.exit, anna, payload: .init(repeating: 1, count: 1400))
            for fragment in datagram.fragments(of: 800) { wires.inside.send(fragment) }
            #expect(wires.inside.receive(milliseconds: 50) == nil)
            #expect(try Self.dropped(.noFlow, wires) == 2)
            #expect(try wires.inquiries.ask { _, snapshot in snapshot.fragmentsHeld } == 0)
        }
    }

    @Test(arguments: [true, false])
    func `a port that nobody borrows is the host's, and not reached this way`(isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        var translator = try Translator()
        for packet in [
            TestPacket.udp(from: ends.anna, 5000, to: ends.exit, 20_000), .tcp(from: ends.anna, 1, to: ends.exit, 22),
            .echo(from: ends.anna, to: ends.exit, identifier: 7),
        ] {
            let outcome = translator.egress(packet.octets)
            #expect(outcome == .dropped(.refused(.unforwardableAddress)))
        }
        let live = translator.nat.flows.live
        #expect(live == 0)
    }

    @Test(arguments: [IOKind.poll, .uring], [true, false])
    func `two hops are needed, and the sender is told about the packet that he sent`(kind: IOKind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind, inside: .inside(mtu: 1280), outside: .outside(mtu: 1500)) { wires in
            let anna = try Self.port(of: ends.anna, 5000, ends, wires)
            let short = TestPacket.udp(from: ends.bela, 6000, to: ends.exit, anna).with { $0.hopLimit = 2 }
            wires.inside.send(short.octets)
            #expect(
                wires.inside.receive()
                    == TestPacket.error(isV4 ? (11, 0) : (3, 0), from: ends.node, to: ends.bela, quoting: short.octets))
            let long = TestPacket.udp(
                from: ends.bela, 6000, to: ends.exit, anna, payload: .init(repeating: 1, count: 1400))
            wires.inside.send(long.octets)
            #expect(
                wires.inside.receive()
                    == TestPacket.error(
                        isV4 ? (3, 4) : (2, 0), from: ends.node, to: ends.bela, quoting: long.octets, mtu: 1280))
        }
    }
}
