import PacketParse
import TestSupport
import Testing

@testable import DataPlane

struct DistributionTests {
    @Test func `a bound counts what is exactly as much`() {
        var distribution = Distribution(bounds: [10, 100])
        for figure in [0, 10, 11, 100, 101, .max] as [UInt64] { distribution.record(figure) }
        #expect(distribution.buckets.map(\.bound) == [10, 100, nil])
        #expect(distribution.buckets.map(\.count) == [2, 2, 2])
        #expect(distribution.count == 6)
    }

    @Test func `counts and sum are what sorting all figures says, and none ever falls`() {
        var random = RandomNumbers(seed: 71)
        let bounds: [UInt64] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000]
        var distribution = Distribution(bounds: bounds)
        var figures: [UInt64] = []
        for _ in 0..<5000 {
            let figure = random.next() >> UInt64.random(in: 30...63, using: &random)
            let before = distribution.buckets.map(\.count)
            distribution.record(figure)
            figures.append(figure)
            let rose = zip(distribution.buckets.map(\.count), before).map { $0 - $1 }
            #expect(rose.reduce(0, +) == 1)
        }
        var least: UInt64 = 0
        for (bound, count) in distribution.buckets {
            let most = bound ?? .max
            #expect(count == UInt64(figures.count { $0 >= least && $0 <= most }))
            least = most &+ 1
        }
        #expect(distribution.sum == figures.reduce(0, +))
    }
}

/// What is kept of flows that have ended, beside a model that keeps all of them.
struct EndedFlowsTests {
    /// A flow as the model remembers it.
    private struct Kept {
        var client: [UInt8]
        var first: UInt32
        var last: UInt32
        var egress: UInt64
        var ingress: UInt64
    }

    private static func buckets(_ figures: [UInt64], _ bounds: [UInt64]) -> [UInt64] {
        var counts = [UInt64](repeating: 0, count: bounds.count + 1)
        for figure in figures { counts[bounds.firstIndex { figure <= $0 } ?? bounds.count] += 1 }
        return counts
    }

    @Test func `flows that expire, give way or are flushed are distributed as a model of all of them says`() throws {
        var random = RandomNumbers(seed: 72)
        // Few slots, so that many flows give way.
        var translator = try Translator(flows: 10)
        var live: [UInt16: Kept] = [:]
        var ended: [Kept] = []
        func settle(_ translator: borrowing Translator) {
            // A port is borrowed by one live flow at a time here: each has a client of its own.
            let there = Set(translator.flows.map(\.outsidePort))
            for (port, flow) in live where !there.contains(port) {
                ended.append(flow)
                live[port] = nil
            }
        }
        for step in 0..<4000 {
            let client: [UInt8] = [100, 64, UInt8(step >> 8), UInt8(step & 255)]
            let payload = [UInt8](repeating: 0, count: Int.random(in: 0...1200, using: &random))
            if let (port, known) = live.sorted(by: { $0.key < $1.key }).randomElement(using: &random),
                Int.random(in: 0..<3, using: &random) > 0
            {
                if Bool.random(using: &random) {
                    let packet = TestPacket.udp(from: known.client, 7, to: TestPacket.remote4, 443, payload: payload)
                    let outcome = translator.egress(packet.octets)
                    #expect(outcome.octets != nil)
                    live[port]?.egress += UInt64(28 + payload.count)
                } else {
                    let packet = TestPacket.udp(
                        from: TestPacket.remote4, 443, to: TestPacket.exit4, port, payload: payload)
                    let outcome = translator.ingress(packet.octets)
                    #expect(outcome.octets != nil)
                    live[port]?.ingress += UInt64(28 + payload.count)
                }
                live[port]?.last = translator.now
            } else {
                let packet = TestPacket.udp(from: client, 7, to: TestPacket.remote4, 443, payload: payload)
                // Where all are established, none gives way.
                if let port = translator.egress(packet.octets).outsidePort {
                    settle(translator)
                    // Given back and lent again at once.
                    if let before = live[port] { ended.append(before) }
                    live[port] = Kept(
                        client: client, first: translator.now, last: translator.now, egress: UInt64(28 + payload.count),
                        ingress: 0)
                }
            }
            if Int.random(in: 0..<8, using: &random) == 0 {
                translator.advance(to: translator.now + UInt32.random(in: 0...120, using: &random))
                settle(translator)
            }
            if step % 1000 == 999 {
                let exit: [UInt8] = step % 2000 == 999 ? [10, 64, 0, 3] : TestPacket.exit4
                let other = Interface(v4: IPAddress(exit), v6: IPAddress(TestPacket.exit6), mtu: 70_000)
                _ = translator.nat.replace(.outside, by: other)
                settle(translator)
                let back = Interface(v4: IPAddress(TestPacket.exit4), v6: IPAddress(TestPacket.exit6), mtu: 70_000)
                _ = translator.nat.replace(.outside, by: back)
            }
        }
        let kept = translator.nat.endedFlows
        let (statistics, flushed) = (translator.statistics, translator.nat.flowsFlushed)
        #expect(min(statistics.flowsExpired, statistics.flowsEvicted, flushed) >= 10, "each end is tried")
        #expect(kept.bytes.count == statistics.flowsExpired + statistics.flowsEvicted + flushed)
        #expect(kept.bytes.count == UInt64(ended.count))

        let bytes = ended.map { $0.egress + $0.ingress }
        let seconds = ended.map { UInt64($0.last - $0.first) }
        let rates = zip(bytes, seconds).map { $0 / max(1, $1) }
        for (distribution, figures) in [(kept.bytes, bytes), (kept.seconds, seconds), (kept.bytesPerSecond, rates)] {
            let bounds = distribution.buckets.compactMap(\.bound)
            #expect(distribution.buckets.map(\.count) == Self.buckets(figures, bounds))
            #expect(distribution.sum == figures.reduce(0, +))
        }
        // And whose they were.
        let totals = translator.nat.clients.totals(in: 0..<ClientTotals.capacity)
        let others = translator.nat.clients.others
        #expect(others.flows == 0)
        #expect(totals.count == Set(ended.map(\.client)).count)
        for total in totals {
            let flows = ended.filter { IPAddress($0.client) == total.client }
            #expect(total.flows == UInt64(flows.count))
            #expect(total.egressBytes == flows.reduce(0) { $0 + $1.egress })
            #expect(total.ingressBytes == flows.reduce(0) { $0 + $1.ingress })
            #expect(total.firstSeen == flows.map(\.first).min() && total.lastSeen == flows.map(\.last).max())
        }
    }
}
