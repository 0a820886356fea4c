import PacketParse
import Testing

@testable import DataPlane

/// The errors that we answer with: what they say, to whom, about what, and about what never. Each is compared octet by octet
/// with one built the long way.
@Suite(.serialized) struct ICMPErrorTests {
    /// One side's view of a conversation: who sends, to whom, and which address of ours answers him.
    struct Ends: Sendable {
        let client, remote, exit, node: [UInt8]
        let isV4: Bool

        init(isV4: Bool) {
            (client, remote, exit) = TestPacket.ends(isV4: isV4)
            node = isV4 ? TestPacket.node4 : TestPacket.node6
            self.isV4 = isV4
        }

        // Type and code.
        var timeExceeded: (UInt8, UInt8) { isV4 ? (11, 0) : (3, 0) }
        var noRoute: (UInt8, UInt8) { isV4 ? (3, 0) : (1, 0) }
        var hostUnreachable: (UInt8, UInt8) { isV4 ? (3, 1) : (1, 3) }
        var packetTooBig: (UInt8, UInt8) { isV4 ? (3, 4) : (2, 0) }
    }

    private static let kinds: [IOKind] = [.poll, .uring]

    // MARK: What they say

    @Test(arguments: kinds, [true, false])
    func `the last hop is answered by time exceeded from the node's address, quoting what was sent`(
        kind: IOKind, isV4: Bool
    ) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind) { wires in
            let sent = TestPacket.udp(from: ends.client, 5000, to: ends.remote, 33434, payload: Array("probe".utf8))
                .with { $0.hopLimit = 1 }
            wires.inside.send(sent.octets)
            let expected = TestPacket.error(
                ends.timeExceeded, from: ends.node, to: ends.client, quoting: sent.octets)
            #expect(wires.inside.receiveMessage() == TestPacket.plainHeader + expected)
            #expect(wires.outside.receive(milliseconds: 50) == nil)
            let snapshot = try #require(try wires.inquiries.ask { _, snapshot in snapshot })
            #expect(snapshot.statistics.dropped(.refused(.hopLimitExceeded)) == 1)
            #expect(snapshot.statistics.sent(.timeExceeded) == 1)
            #expect(snapshot.flowsLive == 0)
        }
    }

    @Test(arguments: kinds, [true, false])
    func `the remote is answered from the exit address, and quoted what it sent and not what the client would see`(
        kind: IOKind, isV4: Bool
    ) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind) { wires in
            wires.inside.send(TestPacket.udp(from: ends.client, 5000, to: ends.remote, 53).octets)
            let outside = try #require(try wires.outside.receive()?.summary().sourcePort)
            let answer = TestPacket.udp(from: ends.remote, 53, to: ends.exit, outside, payload: [1, 2, 3])
                .with { $0.hopLimit = 1 }
            wires.outside.send(answer.octets)
            let expected = TestPacket.error(
                ends.timeExceeded, from: ends.exit, to: ends.remote, quoting: answer.octets)
            #expect(wires.outside.receive() == expected)
            #expect(wires.inside.receive(milliseconds: 50) == nil)
        }
    }

    @Test(arguments: kinds, [true, false])
    func `a quote is as long as fits 576 octets of IPv4 or 1280 of IPv6`(kind: IOKind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind) { wires in
            let most = isV4 ? 576 - 28 - 28 : 1280 - 48 - 48
            for size in [0, 1, most - 1, most, most + 1, 60_000] {
                // Six in a row are what one destination gets.
                let client = ends.client.dropLast() + [UInt8(size & 0x7f | 2)]
                let sent = TestPacket.udp(
                    from: Array(client), 1, to: ends.remote, 2, payload: (0..<size).map { UInt8($0 & 0xff) }
                ).with { ($0.hopLimit, $0.typeOfService) = (1, 0xb9) }
                wires.inside.send(sent.octets)
                let expected = TestPacket.error(
                    ends.timeExceeded, from: ends.node, to: Array(client), quoting: sent.octets,
                    typeOfService: 0x18)
                #expect(wires.inside.receive() == expected, "\(size)")
                #expect(expected.count <= (isV4 ? 576 : 1280))
            }
        }
    }

    @Test(arguments: kinds, [true, false])
    func `without an address of its family a packet is told at once that there is no route`(kind: IOKind, isV4: Bool)
        throws
    {
        let ends = Ends(isV4: isV4)
        let outside = Interface(
            v4: isV4 ? nil : IPAddress(TestPacket.exit4), v6: isV4 ? IPAddress(TestPacket.exit6) : nil, mtu: 1420)
        try withLoop(kind, outside: outside) { wires in
            let sent = TestPacket.tcp(from: ends.client, 5000, to: ends.remote, 443, flags: 2)
            wires.inside.send(sent.octets)
            let expected = TestPacket.error(
                ends.noRoute, from: ends.node, to: ends.client, quoting: sent.octets)
            #expect(wires.inside.receive() == expected)
        }
    }

    @Test(arguments: kinds, [true, false])
    func `a table full of conversations answers a new one with host unreachable`(kind: IOKind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind, flows: 1) { wires in
            wires.inside.send(TestPacket.tcp(from: ends.client, 5000, to: ends.remote, 443, flags: 2).octets)
            let outside = try #require(try wires.outside.receive()?.summary().sourcePort)
            wires.outside.send(
                TestPacket.tcp(from: ends.remote, 443, to: ends.exit, outside, flags: 0x12).octets)
            #expect(wires.inside.receive() != nil)
            wires.inside.send(TestPacket.tcp(from: ends.client, 5000, to: ends.remote, 443).octets)
            #expect(wires.outside.receive() != nil)

            let late = TestPacket.tcp(from: ends.client, 5001, to: ends.remote, 443, flags: 2)
            wires.inside.send(late.octets)
            let expected = TestPacket.error(
                ends.hostUnreachable, from: ends.node, to: ends.client, quoting: late.octets)
            #expect(wires.inside.receive() == expected)
        }
    }

    @Test(arguments: kinds, [true, false])
    func `what is too long and must not be cut is told the next hop's MTU, on either side`(kind: IOKind, isV4: Bool)
        throws
    {
        let ends = Ends(isV4: isV4)
        try withLoop(kind, inside: .inside(mtu: 1280), outside: .outside(mtu: 1420)) { wires in
            func packet(_ source: [UInt8], _ port: UInt16, _ destination: [UInt8], _ other: UInt16, _ size: Int)
                -> TestPacket
            {
                let payload = [UInt8](repeating: 5, count: size - (isV4 ? 28 : 48))
                return .udp(from: source, port, to: destination, other, payload: payload).with {
                    $0.mayBeFragmented = false
                }
            }
            // What fits to the octet passes, and one octet more is told.
            wires.inside.send(packet(ends.client, 5000, ends.remote, 53, 1420).octets)
            let outside = try #require(try wires.outside.receive()?.summary().sourcePort)
            let long = packet(ends.client, 5000, ends.remote, 53, 1421)
            wires.inside.send(long.octets)
            #expect(
                wires.inside.receive()
                    == TestPacket.error(
                        ends.packetTooBig, from: ends.node, to: ends.client, quoting: long.octets, mtu: 1420))

            wires.outside.send(packet(ends.remote, 53, ends.exit, outside, 1280).octets)
            #expect(wires.inside.receive()?.count == 1280)
            let answer = packet(ends.remote, 53, ends.exit, outside, 1281)
            wires.outside.send(answer.octets)
            #expect(
                wires.outside.receive()
                    == TestPacket.error(
                        ends.packetTooBig, from: ends.exit, to: ends.remote, quoting: answer.octets, mtu: 1280))
        }
    }

    @Test(arguments: kinds, [true, false])
    func `a super-packet is judged by its segments, and its first one is quoted`(kind: IOKind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind, outside: .outside(mtu: 1420)) { wires in
            let header = isV4 ? 40 : 60
            func superPacket(segment: Int) -> (header: [UInt8], whole: TestPacket, first: TestPacket) {
                let payload = (0..<20_000).map { UInt8(truncatingIfNeeded: $0) }
                let whole = TestPacket.tcp(from: ends.client, 5000, to: ends.remote, 443, payload: payload).with {
                    ($0.mayBeFragmented, $0.checksum) = (false, .partial)
                }
                let first = TestPacket.tcp(
                    from: ends.client, 5000, to: ends.remote, 443, payload: Array(payload.prefix(segment))
                ).with { $0.mayBeFragmented = false }
                let words = [UInt16(header), UInt16(segment), UInt16(header - 20), 16]
                return ([1, isV4 ? 1 : 4] + words.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }, whole, first)
            }
            let fits = superPacket(segment: 1420 - header)
            wires.inside.send(fits.whole.octets, header: fits.header)
            #expect(wires.outside.receive()?.count == fits.whole.octets.count)

            let long = superPacket(segment: 1421 - header)
            wires.inside.send(long.whole.octets, header: long.header)
            // The checksum of the segment is quoted as it was, incomplete.
            var quoted = long.first.octets
            let field = header - 20 + 16
            quoted.replaceSubrange(field..<field + 2, with: long.whole.octets[field..<field + 2])
            #expect(
                wires.inside.receiveMessage()
                    == TestPacket.plainHeader
                    + TestPacket.error(
                        ends.packetTooBig, from: ends.node, to: ends.client, quoting: quoted, mtu: 1420))
        }
    }

    // MARK: About what never

    @Test(arguments: kinds, [true, false])
    func `nothing is said about errors, later fragments, or what no single host sent to a single host`(
        kind: IOKind, isV4: Bool
    ) throws {
        let ends = Ends(isV4: isV4)
        let nowhere: [[UInt8]] =
            isV4
            ? [
                [127, 0, 0, 1], [0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255], [169, 254, 1, 1], [240, 0, 0, 1],
            ]
            : [
                .init(repeating: 0, count: 16), .init(repeating: 0, count: 15) + [1],
                [0xff, 2] + .init(repeating: 0, count: 13) + [1], [0xfe, 0x80] + .init(repeating: 0, count: 13) + [1],
            ]
        try withLoop(kind) { wires in
            let last = { (packet: inout TestPacket) in packet.hopLimit = 1 }
            var silent = [
                TestPacket.unreachable(
                    from: ends.client, to: ends.remote,
                    quoting: TestPacket.udp(from: ends.remote, 1, to: ends.client, 2).octets
                ).with(last).octets,
                // A redirect: of ICMPv6 it is no error, and no more answered than one.
                TestPacket.echo(from: ends.client, to: ends.remote, identifier: 1).with {
                    ($0.hopLimit, $0.transport[0]) = (1, isV4 ? 5 : 137)
                }.octets,
            ]
            silent += TestPacket.udp(from: ends.client, 1, to: ends.remote, 2, payload: .init(repeating: 0, count: 64))
                .with(last).fragments(of: 16).dropFirst()
            for address in nowhere {
                silent.append(TestPacket.udp(from: address, 1, to: ends.remote, 2).with(last).octets)
                silent.append(TestPacket.udp(from: ends.client, 1, to: address, 2).with(last).octets)
            }
            for packet in silent { wires.inside.send(packet) }
            #expect(wires.inside.receive(milliseconds: 100) == nil)
            // And the loop was listening.
            wires.inside.send(TestPacket.udp(from: ends.client, 1, to: ends.remote, 2).with(last).octets)
            #expect(wires.inside.receive() != nil)
        }
    }

    @Test(arguments: kinds, [true, false])
    func `a stranger outside learns nothing, whatever is wrong with his packet`(kind: IOKind, isV4: Bool) throws {
        let ends = Ends(isV4: isV4)
        try withLoop(kind, inside: .inside(mtu: 1280)) { wires in
            for (hops, size) in [(UInt8(1), 10), (64, 1400)] {
                let packet = TestPacket.udp(
                    from: ends.remote, 53, to: ends.exit, 20_000, payload: .init(repeating: 0, count: size)
                ).with { ($0.hopLimit, $0.mayBeFragmented) = (hops, false) }
                wires.outside.send(packet.octets)
            }
            #expect(wires.outside.receive(milliseconds: 100) == nil)
            let statistics = try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics })
            #expect(statistics.dropped(.refused(.noFlow)) == 2)
        }
    }

    @Test(arguments: kinds)
    func `without an address on the tailnet to answer from, nothing is said`(kind: IOKind) throws {
        try withLoop(kind, inside: Interface(v4: nil, v6: IPAddress(TestPacket.node6), mtu: 1280)) { wires in
            wires.inside.send(
                TestPacket.udp(from: TestPacket.client4, 1, to: TestPacket.remote4, 2).with { $0.hopLimit = 1 }.octets)
            #expect(wires.inside.receive(milliseconds: 100) == nil)
        }
    }
}

extension TestPacket {
    /// An ICMP error as a router sends it.
    static func error(
        _ kind: (UInt8, UInt8), from source: [UInt8], to destination: [UInt8], quoting packet: [UInt8],
        mtu: UInt32 = 0, typeOfService: UInt8 = 0
    ) -> [UInt8] {
        let isV4 = source.count == 4
        let quote = packet.prefix(isV4 ? 576 - 28 : 1280 - 48)
        return TestPacket(
            source: source, destination: destination, protocolNumber: isV4 ? 1 : 58,
            transport: [kind.0, kind.1, 0, 0] + be(mtu) + quote, identification: 0,
            typeOfService: isV4 ? 0xc0 | typeOfService : 0, mayBeFragmented: false
        ).octets
    }
}
