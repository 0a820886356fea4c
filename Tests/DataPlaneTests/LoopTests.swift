import Glibc
import LinuxSystem
import PacketParse
import Testing

@testable import DataPlane

/// The loop between two socket pairs that stand in for the tuns, with either I/O.
@Suite(.serialized) struct LoopTests {
    @Test(arguments: [IOKind.poll, .uring], [true, false])
    func `a TCP conversation passes both ways with the exit address outside`(kind: IOKind, isV4: Bool) throws {
        let (client, remote, exit) = TestPacket.ends(isV4: isV4)
        try withLoop(kind) { wires in
            wires.inside.send(TestPacket.tcp(from: client, 40000, to: remote, 443, flags: 2).octets)
            let sent = try #require(wires.outside.receive())
            let outsidePort = UInt16(sent[isV4 ? 20 : 40]) << 8 | UInt16(sent[isV4 ? 21 : 41])
            #expect((16384...32767).contains(outsidePort))
            var expected = TestPacket.tcp(from: exit, outsidePort, to: remote, 443, flags: 2)
            expected.hopLimit = 63
            #expect(sent == expected.octets)

            let payload: [UInt8] = Array("an odd tail".utf8)
            wires.outside.send(
                TestPacket.tcp(from: remote, 443, to: exit, outsidePort, flags: 0x12, payload: payload).octets)
            let answered = try #require(wires.inside.receive())
            var answer = TestPacket.tcp(from: remote, 443, to: client, 40000, flags: 0x12, payload: payload)
            answer.hopLimit = 63
            #expect(answered == answer.octets)
        }
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `what the tailnet did not open is dropped and counted`(kind: IOKind) throws {
        try withLoop(kind) { wires in
            wires.outside.send(
                TestPacket.tcp(from: TestPacket.remote4, 443, to: TestPacket.exit4, 20000, flags: 2).octets)
            #expect(wires.inside.receive(milliseconds: 200) == nil)
            let snapshot = try #require(try wires.inquiries.ask { _, snapshot in snapshot })
            #expect(snapshot.statistics.dropped(.refused(.noFlow)) == 1)
        }
    }
}
