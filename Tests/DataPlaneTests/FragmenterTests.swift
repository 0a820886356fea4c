import Glibc
import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// Cutting IPv4 packets against fragments built from scratch.
@Suite(.serialized) struct FragmenterTests {
    private static func fragments(of packet: [UInt8], mtu: Int) throws -> [[UInt8]] {
        let fragmenter = Fragmenter(try packet.summary(), mtu: mtu)
        return (0..<fragmenter.count).map { number in
            var room = [UInt8](repeating: 0xaa, count: 70_000)
            var span = room.mutableSpan
            var raw = unsafe span.mutableBytes
            let length = fragmenter.write(number, of: unsafe packet.span.bytes, into: &raw)
            return Array(room[..<length].dropFirst(VirtioNetHeader.size))
        }
    }

    private static func datagram(_ size: Int) -> TestPacket {
        .udp(
            from: TestPacket.exit4, 7, to: TestPacket.remote4, 9,
            payload: (0..<size).map { UInt8(truncatingIfNeeded: $0) }
        ).with { ($0.identification, $0.typeOfService) = (0xbeef, 0x28) }
    }

    @Test(arguments: [28, 29, 35, 36, 576, 1280, 1420, 1499])
    func `fragments are those that the sender would have made for such a link`(mtu: Int) throws {
        for size in [1, 8, 700, 1472, 9001] {
            let cut = try Self.fragments(of: Self.datagram(size).octets, mtu: mtu)
            #expect(cut == Self.datagram(size).fragments(of: (mtu - 20) & ~7))
            #expect(cut.allSatisfy { $0.count <= mtu })
        }
    }

    @Test func `a fragment is cut into fragments of the same datagram`() throws {
        let once = Self.datagram(9001).fragments(of: 1480)
        let twice = try once.flatMap { try Self.fragments(of: $0, mtu: 576) }
        // 1480 is 552 and 552 and 376: the offsets go on across what was cut before.
        let whole = Self.datagram(9001).octets.dropFirst(20)
        var reassembled: [UInt8] = []
        for (number, fragment) in twice.enumerated() {
            let place = UInt16(fragment[6]) << 8 | UInt16(fragment[7])
            #expect(Int(place & 0x1fff) * 8 == reassembled.count)
            #expect((place & 0x2000 != 0) == (number + 1 < twice.count))
            #expect(naiveSum(fragment[..<20]) == 0xffff)
            #expect(Int(fragment[2]) << 8 | Int(fragment[3]) == fragment.count)
            reassembled += fragment.dropFirst(20)
        }
        #expect(reassembled == Array(whole))
    }

    @Test func `only options that are meant for all fragments are in all of them`() throws {
        // Record route is not copied, router alert is; a timestamp, which is not, is cut short by the header's end.
        let options: [UInt8] = [7, 7, 4, 0, 0, 0, 0, 0x94, 4, 0, 0, 68, 12, 5, 0, 0]
        let cut = try Self.fragments(of: Self.datagram(100).with { $0.options = options }.octets, mtu: 80)
        #expect(cut.count == 3)
        #expect(cut[0][20..<36] == options[...])
        for fragment in cut.dropFirst() {
            #expect(fragment[20..<36] == [1, 1, 1, 1, 1, 1, 1, 0x94, 4, 0, 0, 68, 12, 5, 0, 0])
            #expect(naiveSum(fragment[..<36]) == 0xffff)
        }
    }

    @Test(arguments: [IOKind.poll, .uring], [TestPacket.Checksum.right, .partial, .absent])
    func `what does not fit and may be cut leaves in fragments, its checksum completed before`(
        kind: IOKind, checksum: TestPacket.Checksum
    ) throws {
        try withLoop(kind, outside: .outside(mtu: 1280)) { wires in
            let payload = (0..<3001).map { UInt8(truncatingIfNeeded: $0) }
            let sent = TestPacket.udp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 53, payload: payload)
            var header = TestPacket.plainHeader
            if checksum == .partial { header = [1, 0, 0, 0, 0, 0, 20, 0, 6, 0] }
            let before = TestPacket.udp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 53)
            wires.inside.send(before.octets)
            wires.inside.send(sent.with { $0.checksum = checksum }.octets, header: header)
            wires.inside.send(before.octets)
            // In their order, though fragments are written past the queue.
            #expect(wires.outside.receive()?.count == 28)
            var received: [[UInt8]] = []
            while let packet = wires.outside.receive(), packet.count != 28 { received.append(packet) }
            let outside = try received[0].summary().sourcePort
            let expected = TestPacket.udp(
                from: TestPacket.exit4, outside, to: TestPacket.remote4, 53, payload: payload
            ).with { ($0.hopLimit, $0.checksum) = (63, checksum == .absent ? .absent : .right) }
            #expect(received == expected.fragments(of: 1256))
            let statistics = try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics })
            #expect(statistics.packetsFragmented == 1)
            #expect(statistics.egress.packets == 3)
        }
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `fragments that do not fit are cut too, and go back so`(kind: IOKind) throws {
        try withLoop(kind, inside: .inside(mtu: 576)) { wires in
            wires.inside.send(TestPacket.udp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 53).octets)
            let outside = try #require(try wires.outside.receive()?.summary().sourcePort)
            let payload = (0..<3001).map { UInt8(truncatingIfNeeded: $0) }
            for fragment in TestPacket.udp(
                from: TestPacket.remote4, 53, to: TestPacket.exit4, outside, payload: payload
            ).fragments(of: 1480) { wires.outside.send(fragment) }
            var data: [UInt8] = []
            while let fragment = wires.inside.receive(milliseconds: 200) {
                #expect(fragment.count <= 576)
                data += fragment.dropFirst(20)
            }
            let expected = TestPacket.udp(
                from: TestPacket.remote4, 53, to: TestPacket.client4, 5000, payload: payload)
            #expect(data == Array(expected.octets.dropFirst(20)))
        }
    }

    @Test func `a link that takes no fragment gets none`() throws {
        var translator = try Translator(outside: .outside(mtu: 27))
        let outcome = translator.egress(Self.datagram(10).with { $0.source = TestPacket.client4 }.octets)
        #expect(outcome == .dropped(.refused(.packetTooBig)))
    }
}
