import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// Out and back: what leaves must be what the client would have sent from the exit address, and what comes back what the
/// remote would have sent to the client, octet by octet, checksums computed anew.
struct RoundTripTests {
    /// A kind of conversation. Each builds a packet of its own from endpoints and a payload.
    enum Kind: String, CaseIterable, Sendable {
        case tcp, udp, udpWithoutChecksum, echo, tcpPartial, udpPartial
        case tcpOptions, udpOptions, echoOptions

        var isEcho: Bool { self == .echo || self == .echoOptions }
        var pending: PendingChecksum { self == .tcpPartial || self == .udpPartial ? .partial : .complete }

        func packet(
            _ source: [UInt8], _ sourcePort: UInt16, _ destination: [UInt8], _ destinationPort: UInt16, isAnswer: Bool,
            payload: [UInt8]
        ) -> TestPacket {
            var packet: TestPacket
            switch self {
            case .tcp, .tcpPartial, .tcpOptions:
                packet = .tcp(from: source, sourcePort, to: destination, destinationPort, payload: payload)
            case .udp, .udpPartial, .udpOptions, .udpWithoutChecksum:
                packet = .udp(from: source, sourcePort, to: destination, destinationPort, payload: payload)
            case .echo, .echoOptions:
                packet = .echo(
                    from: source, to: destination, identifier: isAnswer ? destinationPort : sourcePort,
                    isReply: isAnswer, payload: payload)
            }
            switch self {
            case .tcpPartial, .udpPartial: packet.checksum = .partial
            case .udpWithoutChecksum: packet.checksum = .absent
            case .tcpOptions, .udpOptions, .echoOptions:
                // Router alert and padding; hop-by-hop with the same, a destination option, an atomic fragment.
                packet.options = [0x94, 4, 0, 0, 1, 1, 1, 0]
                packet.extensions = [
                    (0, [0, 0, 5, 2, 0, 0, 1, 0]), (60, [0, 1, 1, 12] + [UInt8](repeating: 0, count: 12)),
                    (44, [0, 0, 0, 0, 0, 0, 0, 9]),
                ]
            default: break
            }
            return packet
        }
    }

    @Test(arguments: Kind.allCases, [true, false])
    func `what leaves and what comes back differ in address, port and hop from what was sent, and in nothing else`(
        kind: Kind, isV4: Bool
    ) throws {
        var random = RandomNumbers(seed: 31)
        var translator = try Translator()
        let (client, remote, exit) = TestPacket.ends(isV4: isV4)
        var wrong: [String] = []
        for size in [0, 1, 2, 3, 7, 8, 511, 1472, 65_001]
            + (0..<60).map({ _ in Int.random(in: 0..<1400, using: &random) })
        {
            let payload = random.octets(size)
            let (port, remotePort) = (
                UInt16.random(in: 1...65_535, using: &random), UInt16.random(in: 1...65_535, using: &random)
            )
            let sent = kind.packet(client, port, remote, remotePort, isAnswer: false, payload: payload)
            let left = translator.egress(sent.octets, checksum: kind.pending)
            guard let outside = left.outsidePort else {
                wrong.append("\(size): \(left)")
                continue
            }
            var expected = kind.packet(exit, outside, remote, remotePort, isAnswer: false, payload: payload)
            expected.hopLimit = 63
            if left != .forwarded(expected.octets) { wrong.append("\(size) left wrong") }

            let answer = kind.packet(remote, remotePort, exit, outside, isAnswer: true, payload: payload)
            let arrived = translator.ingress(answer.octets, checksum: kind.pending)
            expected = kind.packet(remote, remotePort, client, port, isAnswer: true, payload: payload)
            expected.hopLimit = 63
            if arrived != .forwarded(expected.octets) { wrong.append("\(size) came back wrong") }
        }
        #expect(wrong == [])
    }

    @Test(arguments: [true, false])
    func `a UDP checksum that comes out as zero is written as all ones`(isV4: Bool) throws {
        var translator = try Translator()
        let (client, remote, exit) = TestPacket.ends(isV4: isV4)
        let probe = TestPacket.udp(from: client, 5000, to: remote, 53, payload: [0, 0])
        let first = translator.egress(probe.octets)
        let outside = try #require(first.outsidePort)
        // The payload that brings the sum to zero is the complement of the rest: the checksum over two zeros.
        let rest = TestPacket.udp(from: exit, outside, to: remote, 53, payload: [0, 0]).octets
        let field = rest.count - 4
        let payload = Array(rest[field..<field + 2])
        let left = translator.egress(TestPacket.udp(from: client, 5000, to: remote, 53, payload: payload).octets)
        let octets = try #require(left.octets)
        #expect(Array(octets[field..<field + 2]) == [0xff, 0xff])
        #expect(
            octets
                == TestPacket.udp(from: exit, outside, to: remote, 53, payload: payload).with { $0.hopLimit = 63 }
                .octets)
    }

    @Test func `a hop is counted and the last is not passed`() throws {
        var translator = try Translator()
        for hops in [UInt8(0), 1, 2, 255] {
            let packet = TestPacket.udp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 53).with {
                $0.hopLimit = hops
            }
            let outcome = translator.egress(packet.octets)
            if hops > 1 {
                #expect(outcome.octets?[8] == hops - 1)
            } else {
                #expect(outcome == .dropped(.refused(.hopLimitExceeded)))
            }
        }
    }

    @Test(arguments: [1, 5, 16, 100])
    func `random conversations of all kinds at once find the way back, each its own`(clients: Int) throws {
        var random = RandomNumbers(seed: UInt64(clients))
        var translator = try Translator(flows: 4096, range: 1000...1255)
        var wrong = 0
        for _ in 0..<1500 {
            let kind = Kind.allCases.randomElement(using: &random) ?? .tcp
            let isV4 = Bool.random(using: &random)
            var client = isV4 ? TestPacket.client4 : TestPacket.client6
            client[client.count - 1] = UInt8.random(in: 1...UInt8(clients), using: &random)
            let remote = isV4 ? TestPacket.remote4 : TestPacket.remote6
            let exit = isV4 ? TestPacket.exit4 : TestPacket.exit6
            let port = UInt16.random(in: 1...3, using: &random)
            let left = translator.egress(
                kind.packet(client, port, remote, 443, isAnswer: false, payload: []).octets, checksum: kind.pending)
            guard let outside = left.outsidePort else {
                wrong += 1
                continue
            }
            let back = translator.ingress(
                kind.packet(remote, 443, exit, outside, isAnswer: true, payload: []).octets, checksum: kind.pending)
            var expected = kind.packet(remote, 443, client, port, isAnswer: true, payload: [])
            expected.hopLimit = 63
            if back != .forwarded(expected.octets) { wrong += 1 }
        }
        #expect(wrong == 0)
    }
}
