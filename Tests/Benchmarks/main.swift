import DataPlane
import Glibc
import LinuxSystem
import PacketParse

// What the loop itself costs per packet: parse, look up, rewrite, count; without the kernel's share. Each packet is 64
// octets of TCP; every round is shown, for machines are shared.

// Benchmarks                 every figure
// Benchmarks PACKETS         one flow, once, for who counts instructions: what two lengths differ by is the packets' own

if let packets = CommandLine.arguments.dropFirst().first.flatMap({ Int($0) }) {
    _ = try Replay([message(flow: 0)], from: .inside).run(warmUp: 1, packets: packets, freshNAT(flows: 1024))
    exit(0)
}

let rounds = 7
let packetsPerRound = 2_000_000

for (name, flows, side) in [
    ("egress, one flow", 1, Side.inside), ("egress, 100,000 flows", 100_000, .inside),
    ("egress, 1,000,000 flows", 1_000_000, .inside),
] {
    var figures: [Double] = []
    let messages = (0..<flows).map { message(flow: $0) }
    // In no order that the memory's prefetcher could guess.
    let replay = Replay(messages.shuffled(), from: side)
    for _ in 0..<rounds {
        let nat = try freshNAT(flows: max(1024, flows * 5 / 4))
        let (nanoseconds, statistics) = try replay.run(warmUp: flows, packets: packetsPerRound, nat)
        precondition(statistics.egress.packets == UInt64(flows + packetsPerRound), "a packet was not forwarded")
        figures.append(Double(nanoseconds) / Double(packetsPerRound))
    }
    let median = figures.sorted()[rounds / 2]
    let all = figures.map { tenths($0) }.joined(separator: " ")
    print("\(name): median \(tenths(median)) ns a packet; rounds \(all)")
}
try measureShaper()
try measureStub()

func tenths(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }

func freshNAT(flows: Int) throws -> NAT {
    let seed = HashSeed.random()
    func words(_ count: Int) -> UnsafeMutablePointer<UInt64> {
        let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
        unsafe memory.initialize(repeating: 0, count: count)
        return unsafe memory
    }
    let live = unsafe LiveBindings(
        tcpPorts: words(1024), udpPorts: words(1024), queries: words(16384), queryCount: 16384)
    return NAT(
        flows: try FlowTable(capacity: flows, seed: seed, now: LoopClock().seconds),
        bindings: try Bindings(range: 16384...32767, live: live, seed: seed), fragments: try FragmentTable(seed: seed),
        clients: try ClientTotals(),
        inside: Interface(v4: IPAddress(v4: 0x6440_0001), v6: nil, mtu: 1280),
        outside: Interface(v4: IPAddress(v4: 0x0a40_0002), v6: nil, mtu: 1420))
}

/// A virtio header and an acknowledgement from 100.64.0.2 to one of many remotes.
func message(flow: Int) -> [UInt8] {
    let remote: [UInt8] = [203, UInt8(flow >> 16 & 0xff), UInt8(flow >> 8 & 0xff), UInt8(flow & 0xff)]
    var header: [UInt8] = [0x45, 0, 0, 64, 0, 1, 0x40, 0, 64, 6, 0, 0, 100, 64, 0, 2] + remote
    var sum = 0
    for index in stride(from: 0, to: 20, by: 2) { sum += Int(header[index]) << 8 + Int(header[index + 1]) }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    header[10] = UInt8(~sum >> 8 & 0xff)
    header[11] = UInt8(~sum & 0xff)
    let tcp: [UInt8] = [0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]
    return [UInt8](repeating: 0, count: 10) + header + tcp + [UInt8](repeating: 0x55, count: 24)
}
