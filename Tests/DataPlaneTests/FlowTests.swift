import PacketParse
import Testing

@testable import DataPlane

struct FlowTests {
    @Test func `a flow fills two cache lines`() {
        #expect(MemoryLayout<Flow>.stride == 128)
        #expect(MemoryLayout<Flow>.offset(of: \.firstIngress).map { $0 < 64 } == true)
        #expect(MemoryLayout<Flow>.offset(of: \.egressPackets) == 64)
    }

    @Test func `packets, octets, first and last are counted in either direction`() throws {
        var translator = try Translator()
        var sent: (packets: UInt64, bytes: UInt64) = (0, 0)
        var received: (packets: UInt64, bytes: UInt64) = (0, 0)
        var port: UInt16 = 0
        for (second, payload) in [(1000, 0), (1003, 1), (1090, 1400)] {
            translator.now = UInt32(second)
            let packet = TestPacket.udp(
                from: TestPacket.client4, 5000, to: TestPacket.remote4, 53, payload: .init(repeating: 1, count: payload)
            ).octets
            let outcome = translator.egress(packet)
            port = try #require(outcome.outsidePort)
            sent = (sent.packets + 1, sent.bytes + UInt64(packet.count))
        }
        for (second, payload) in [(1091, 3), (1200, 65_507)] {
            translator.now = UInt32(second)
            let packet = TestPacket.udp(
                from: TestPacket.remote4, 53, to: TestPacket.exit4, port, payload: .init(repeating: 1, count: payload)
            ).octets
            let outcome = translator.ingress(packet)
            #expect(outcome.octets?.count == packet.count)
            received = (received.packets + 1, received.bytes + UInt64(packet.count))
        }
        let flows = translator.flows
        let flow = try #require(flows.first)
        #expect((flow.egressPackets, flow.egressBytes) == sent)
        #expect((flow.ingressPackets, flow.ingressBytes) == received)
        #expect((flow.firstEgress, flow.lastEgress) == (1000, 1090))
        #expect((flow.firstIngress, flow.lastIngress) == (1091, 1200))
    }

    @Test func `what is dropped is not counted`() throws {
        var translator = try Translator()
        let packet = TestPacket.udp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 53)
        let first = translator.egress(packet.octets)
        let second = translator.egress(packet.with { $0.hopLimit = 1 }.octets)
        #expect(first.octets != nil)
        #expect(second == .dropped(.refused(.hopLimitExceeded)))
        let counted = translator.flows.map(\.egressPackets)
        #expect(counted == [1])
    }
}
