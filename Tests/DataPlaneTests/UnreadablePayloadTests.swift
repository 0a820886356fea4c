import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// No payload inspection, proven: behind the headers the memory cannot be read, and nothing on a packet's way notices.
struct UnreadablePayloadTests {
    private static let payload = [UInt8](repeating: 0, count: 60_000)

    /// A way through parser, look-up and rewriting, of which only the headers can be read.
    private static func pass(
        _ packet: TestPacket, _ nat: inout NAT, _ direction: Direction, _ checksum: PendingChecksum
    ) throws -> [UInt8] {
        let headers = packet.octets.count - payload.count
        let memory = try #require(UnreadablePayload(headers: Array(packet.octets.prefix(headers))))
        #expect(memory.isReadable(at: headers - 1))
        #expect(!memory.isReadable(at: headers))
        var statistics = Statistics()
        var octets = unsafe MutableRawSpan(_unsafeStart: memory.start, byteCount: packet.octets.count)
        let summary = try PacketSummary(parsing: octets.bytes)
        switch direction {
        case .egress:
            let hash = nat.flows.hash(.outbound(summary))
            _ = try nat.egress(
                &octets, summary, wireLength: summary.totalLength, hash: hash, checksum: checksum, now: 1000,
                &statistics)
        case .ingress:
            let hash = nat.flows.hash(.inbound(summary))
            _ = try nat.ingress(
                &octets, summary, wireLength: summary.totalLength, hash: hash, checksum: checksum, now: 1000)
        }
        return memory.octets(headers)
    }

    @Test(arguments: RoundTripTests.Kind.allCases, [true, false])
    func `a packet whose payload cannot be read is translated all the same, both ways`(
        kind: RoundTripTests.Kind, isV4: Bool
    ) throws {
        let (client, remote, exit) = TestPacket.ends(isV4: isV4)
        let words = LiveWords()
        var nat = try testNAT(live: words.bindings, now: 1000)
        let sent = kind.packet(client, 5000, remote, 443, isAnswer: false, payload: Self.payload)
        let left = try Self.pass(sent, &nat, .egress, kind.pending)
        let outside = try #require(nat.flows.flows(in: 0..<1).first?.outsidePort)
        let expected = kind.packet(exit, outside, remote, 443, isAnswer: false, payload: Self.payload).with {
            $0.hopLimit = 63
        }
        #expect(left == Array(expected.octets.prefix(left.count)))

        let answer = kind.packet(remote, 443, exit, outside, isAnswer: true, payload: Self.payload)
        let arrived = try Self.pass(answer, &nat, .ingress, kind.pending)
        let back = kind.packet(remote, 443, client, 5000, isAnswer: true, payload: Self.payload).with {
            $0.hopLimit = 63
        }
        #expect(arrived == Array(back.octets.prefix(arrived.count)))
        withExtendedLifetime(words) {}
    }
}
