import DataPlane
import LinuxSystem

/// What the shaper adds to a packet that waits: into its queue, out of it again, and the bucket's say.
func measureShaper() throws {
    for (name, length, flows) in [
        ("64 octets, one flow", 64, 1), ("64 octets, 800 flows of eight clients", 64, 800),
        ("1500 octets, one flow", 1500, 1), ("1500 octets, 800 flows of eight clients", 1500, 800),
    ] {
        var figures: [Double] = []
        for _ in 0..<rounds {
            var shaper = try Shaper(memory: 4 << 20, now: 0)
            // Never the bottleneck: what is measured is work, not waiting.
            shaper.limit(to: 1_000_000_000_000, now: 0)
            _ = try shaped(1000, length: length, flows: flows, &shaper, from: 0)
            let nanoseconds = try shaped(10_000, length: length, flows: flows, &shaper, from: 1_000_000_000)
            figures.append(Double(nanoseconds) / Double(10_000 * batch))
        }
        let all = figures.map { tenths($0) }.joined(separator: " ")
        print("shaped, \(name): median \(tenths(figures.sorted()[rounds / 2])) ns a packet; rounds \(all)")
    }
}

/// Packets that wait when the first of them leaves.
private let batch = 64

/// Nanoseconds that so many batches took, in and out.
private func shaped(
    _ batches: Int, length: Int, flows: Int, _ shaper: inout Shaper, from start: UInt64
) throws -> UInt64 {
    var octets = [UInt8](repeating: 0, count: 10 + length)
    octets[10] = 0x45
    var span = octets.mutableSpan
    var raw = unsafe span.mutableBytes
    var (flow, left) = (0, 0)
    let begin = MonotonicClock().nanoseconds
    for number in 0..<batches {
        let now = start + UInt64(number) * 10_000
        for _ in 0..<batch {
            flow = flow + 1 < flows ? flow + 1 : 0
            let hash = UInt64(flow + 1) &* 0x9e37_79b9_7f4a_7c15
            try shaper.offer(&raw, client: UInt64(flow & 7) &* 0x9e37_79b9_7f4a_7c15, flow: hash, now: now)
        }
        while let departure = shaper.release(now: now) {
            shaper.free(departure)
            left += 1
        }
    }
    let passed = MonotonicClock().nanoseconds - begin
    precondition(left == batches * batch, "a packet was lost")
    return passed
}
