import Glibc
import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// Cutting a super-packet against building each of its packets from scratch.
struct SegmenterTests {
    private static func segments(of packet: [UInt8], _ header: VirtioNetHeader) throws -> [[UInt8]] {
        let segmenter = try unsafe Segmenter(packet.span.bytes, header, packet.summary())
        return (0..<segmenter.count).map { number in
            var room = [UInt8](repeating: 0xaa, count: 70_000)
            var span = room.mutableSpan
            var raw = unsafe span.mutableBytes
            let length = segmenter.write(number, of: unsafe packet.span.bytes, into: &raw)
            return Array(room.prefix(length))
        }
    }

    private static func superHeader(_ type: VirtioNetHeader.GSOType, size: Int) -> VirtioNetHeader {
        var header = VirtioNetHeader()
        header.flags = .needsChecksum
        header.gsoType = type
        header.gsoSize = UInt16(size)
        return header
    }

    private static func chunks(_ payload: [UInt8], of size: Int) -> [[UInt8]] {
        stride(from: 0, to: payload.count, by: size).map { Array(payload[$0..<min($0 + size, payload.count)]) }
    }

    @Test(
        arguments: [
            (1, 1), (3, 1), (1448, 1448), (1449, 1448), (64_000, 1448), (9999, 333), (65_000, 65_000), (700, 65_535),
        ], [true, false])
    func `TCP segments are those that the sender would have built one by one`(
        sizes: (payload: Int, segment: Int), isV4: Bool
    ) throws {
        var random = RandomNumbers(seed: UInt64(sizes.payload))
        let payload = random.octets(sizes.payload)
        let (_, remote, source) = TestPacket.ends(isV4: isV4)
        // CWR, ACK, PSH, FIN, and a sequence number that wraps.
        let whole = TestPacket.tcp(from: source, 7, to: remote, 9, flags: 0x99, sequence: 0xffff_ff00, payload: payload)
            .with { ($0.checksum, $0.identification) = (.partial, 0xfffe) }
        let type: VirtioNetHeader.GSOType = isV4 ? .tcp4 : .tcp6
        let cut = try Self.segments(of: whole.octets, Self.superHeader(type, size: sizes.segment))
        let pieces = Self.chunks(payload, of: sizes.segment)
        let expected = pieces.enumerated().map { number, piece in
            var flags: UInt8 = 0x10
            if number == 0 { flags |= 0x80 }
            if number == pieces.count - 1 { flags |= 0x09 }
            let sequence = 0xffff_ff00 &+ UInt32(number * sizes.segment)
            let packet = TestPacket.tcp(
                from: source, 7, to: remote, 9, flags: flags, sequence: sequence, payload: piece
            )
            .with { $0.identification = 0xfffe &+ UInt16(truncatingIfNeeded: number) }
            return TestPacket.plainHeader + packet.octets
        }
        #expect(cut.count == expected.count)
        let wrong = zip(cut, expected).enumerated().filter { $0.element.0 != $0.element.1 }.map(\.offset)
        #expect(wrong == [])
    }

    @Test(arguments: [(1, 1), (5, 2), (1200, 1200), (60_001, 1200)], [true, false])
    func `UDP segments are datagrams of their own`(sizes: (payload: Int, segment: Int), isV4: Bool) throws {
        var random = RandomNumbers(seed: UInt64(sizes.payload))
        let payload = random.octets(sizes.payload)
        let (_, remote, source) = TestPacket.ends(isV4: isV4)
        // With IP options and an extension header, which every segment repeats.
        func datagram(_ payload: [UInt8], _ number: Int) -> TestPacket {
            TestPacket.udp(from: source, 7, to: remote, 9, payload: payload).with {
                $0.identification = UInt16(1 + number)
                $0.options = [0x94, 4, 0, 0]
                $0.extensions = [(60, [0, 0, 1, 4, 0, 0, 0, 0])]
            }
        }
        let whole = datagram(payload, 0).with { $0.checksum = .partial }
        let cut = try Self.segments(of: whole.octets, Self.superHeader(.udpL4, size: sizes.segment))
        let expected = Self.chunks(payload, of: sizes.segment).enumerated().map { number, piece in
            TestPacket.plainHeader + datagram(piece, number).octets
        }
        #expect(cut.count == expected.count)
        let wrong = zip(cut, expected).enumerated().filter { $0.element.0 != $0.element.1 }.map(\.offset)
        #expect(wrong == [])
    }

    @Test func `each piece is counted as what became of it`() throws {
        let packet = TestPacket.udp(
            from: TestPacket.exit4, 7, to: TestPacket.remote4, 9, payload: .init(repeating: 7, count: 60_000))
        // NEEDS_CSUM, UDP_L4, and pieces of 1000 octets.
        let header: [UInt8] = [1, 5, 0, 0, 0xe8, 0x03, 20, 0, 6, 0]
        let message = header + packet.with { $0.checksum = .partial }.octets
        // A port that takes some of the sixty pieces and has no room for the others.
        let (near, far) = try socketPair()
        defer { for descriptor in [near, far] { close(descriptor) } }
        var room: CInt = 16_384
        _ = unsafe setsockopt(near, SOL_SOCKET, SO_SNDBUF, &room, 4)
        var segmentation = try Segmentation()
        var statistics = Statistics()
        let kind = try segmentation.write(
            unsafe message.span.bytes, to: near, Errand(.egress, .udp, isV4: true), &statistics)
        #expect(kind == .udpL4)
        #expect(statistics.superPacketsSplit == 1)

        var taken: [Int] = []
        while let piece = Wire(descriptor: far).receive(milliseconds: 0) { taken.append(piece.count) }
        #expect((1..<60).contains(taken.count))
        #expect(statistics.egress.packets == taken.count)
        #expect(statistics.egress.bytes == taken.reduce(0, +))
        #expect(statistics.egress.superPackets == 0)
        #expect(statistics.dropped(.refused(.writeRefused)) == UInt64(60 - taken.count))
    }

    @Test func `a header that contradicts its packet cuts nothing`() throws {
        let tcp4 = TestPacket.tcp(from: TestPacket.exit4, 7, to: TestPacket.remote4, 9, payload: [1, 2, 3]).octets
        let udp6 = TestPacket.udp(from: TestPacket.exit6, 7, to: TestPacket.remote6, 9, payload: [1, 2, 3]).octets
        let echo = TestPacket.echo(from: TestPacket.exit4, to: TestPacket.remote4, identifier: 9, payload: [1, 2, 3])
            .octets
        let empty = TestPacket.tcp(from: TestPacket.exit4, 7, to: TestPacket.remote4, 9).octets
        let fragment = TestPacket.udp(
            from: TestPacket.exit4, 7, to: TestPacket.remote4, 9, payload: .init(repeating: 0, count: 24)
        )
        .fragments(of: 16)[0]
        // No offload that we ask for produces it.
        let udpToFragment = VirtioNetHeader.GSOType(rawValue: 3)
        let cases: [([UInt8], VirtioNetHeader.GSOType, Int)] = [
            (tcp4, .tcp4, 0), (tcp4, .tcp6, 2), (tcp4, .udpL4, 2), (tcp4, udpToFragment, 2), (tcp4, .none, 2),
            (udp6, .tcp6, 2), (udp6, udpToFragment, 2), (echo, .tcp4, 2), (echo, .udpL4, 2), (empty, .tcp4, 2),
            (fragment, .udpL4, 2),
        ]
        for (packet, type, size) in cases {
            #expect(throws: DropReason.refused(.badSuperPacket)) {
                try Self.segments(of: packet, Self.superHeader(type, size: size))
            }
        }
    }
}
