import PacketParse
import TestSupport
import Testing

@testable import DataPlane

struct ClientTotalsTests {
    private static func flow(of client: UInt32, egress: Int, ingress: Int, at second: UInt32) -> Flow {
        let key = FlowKey(
            local: IPAddress(v4: client), remote: IPAddress(v4: 0xcb00_710a), localPort: 1, remotePort: 2,
            transport: .udp)
        var flow = Flow(
            inside: key, insideHash: 1, outside: key, outsideHash: 1, binding: 0, state: .opening, now: second)
        flow.recordEgress(bytes: egress, flags: [], now: second)
        flow.recordIngress(bytes: ingress, flags: [], now: second + 5)
        return flow
    }

    /// All that was ever recorded: of those that are there, and of those that gave way.
    private static func sum(_ totals: borrowing ClientTotals) -> ClientTotals.Total {
        var sum = totals.others
        for total in totals.totals(in: 0..<totals.capacity) { sum.add(total) }
        return sum
    }

    @Test func `each client has what a dictionary says, as long as there is room, and no two hashes need differ`()
        throws
    {
        var random = RandomNumbers(seed: 81)
        var totals = try ClientTotals(capacity: 200)
        var model: [UInt32: (flows: UInt64, egress: UInt64, ingress: UInt64)] = [:]
        for second in 1...5000 as ClosedRange<UInt32> {
            let client = UInt32.random(in: 0..<200, using: &random)
            let (egress, ingress) = (Int(random.next() >> 40), Int(random.next() >> 40))
            // Of eight hashes each belongs to twenty-five clients.
            totals.record(
                Self.flow(of: client, egress: egress, ingress: ingress, at: second), hash: UInt64(client % 8))
            let before = model[client] ?? (0, 0, 0)
            model[client] = (before.flows + 1, before.egress + UInt64(egress), before.ingress + UInt64(ingress))
        }
        let told = totals.totals(in: 0..<totals.capacity)
        #expect(told.count == model.count)
        for total in told {
            #expect((total.flows, total.egressBytes, total.ingressBytes) == model[total.client.v4] ?? (0, 0, 0))
            #expect((total.egressPackets, total.ingressPackets) == (total.flows, total.flows))
        }
        let others = totals.others
        #expect(others.flows == 0)
    }

    @Test func `when there is no room who moved little gives way, and nothing is lost of the sum`() throws {
        var random = RandomNumbers(seed: 82)
        var totals = try ClientTotals(capacity: 64)
        var truth = ClientTotals.Total(of: .unspecified)
        // Sixteen that move much, among a thousand that come and go.
        for second in 1...20_000 as ClosedRange<UInt32> {
            let isBusy = Int.random(in: 0..<10, using: &random) == 0
            let client = isBusy ? second % 16 : UInt32.random(in: 1000..<2000, using: &random)
            let flow = Self.flow(of: client, egress: isBusy ? 1_000_000 : 60, ingress: 40, at: second)
            totals.record(flow, hash: UInt64(client) &* 0x9e37_79b9_7f4a_7c15)
            truth.add(flow)
            let count = totals.count
            #expect(count <= 64)
        }
        let sum = Self.sum(totals)
        #expect(sum.flows == truth.flows && sum.flows == 20_000)
        #expect((sum.egressPackets, sum.egressBytes) == (truth.egressPackets, truth.egressBytes))
        #expect((sum.ingressPackets, sum.ingressBytes) == (truth.ingressPackets, truth.ingressBytes))
        #expect((sum.firstSeen, sum.lastSeen) == (1, 20_005))
        let told = totals.totals(in: 0..<64)
        #expect(Set(told.map(\.client)).count == 64, "nobody is there twice")
        #expect(told.count { $0.client.v4 < 16 } == 16, "who moves much stays")
        let others = totals.others
        #expect(others.flows > 0 && others.client == .unspecified)
    }

    @Test func `a table of one client has room for one`() throws {
        var totals = try ClientTotals(capacity: 1)
        for client in 1...3 as ClosedRange<UInt32> {
            totals.record(Self.flow(of: client, egress: 1, ingress: 1, at: 1), hash: UInt64(client))
        }
        let told = totals.totals(in: 0..<10)
        let others = totals.others
        #expect(told.map(\.client.v4) == [3])
        #expect(others.flows == 2)
    }
}
