import Foundation
import Glibc
import Lab
import LinuxSystem
import Node
import TestSupport
import Testing

/// What a limit makes of a link: how exact it is, and how the link feels under it. The figures are in docs/cap.md.
@Suite(.serialized, .labCanBeBuilt) struct ShapingTests {
    // MARK: Rates

    struct Load: CustomTestStringConvertible {
        let rate: UInt64
        let isTCP: Bool
        let flows: Int
        let direction: Bulk.Direction

        var testDescription: String { "\(rate / 1000) kbit/s, \(isTCP ? "TCP" : "UDP"), \(flows), \(direction)" }

        /// Each rate with each kind of traffic, up and down in turns.
        static let all: [Load] = [64_000, 512_000, 10_000_000, 100_000_000, 1_000_000_000].flatMap { rate in
            [(true, 1), (false, 1), (true, 100), (false, 100)].flatMap { isTCP, flows in
                [Bulk.Direction.upload, .download].map {
                    Load(rate: rate, isTCP: isTCP, flows: flows, direction: $0)
                }
            }
        }

        func isKept(by arrivals: Arrivals) -> Bool {
            let long = worst(arrivals.windows(of: 10), share: 0.02, packets: 1)
            let short = worst(arrivals.windows(of: 1), share: 0.05, packets: 2)
            let errors = [long.error, short.error].map { String(format: "%+.2f %%", $0 * 100) }
            print("figure: rate, \(testDescription): \(errors[0]) over 10 s, \(errors[1]) over 1 s")
            return abs(long.error) <= long.bar && abs(short.error) <= short.bar
        }

        private func worst(
            _ windows: [Arrivals.Window], share: Double, packets: Double
        ) -> (error: Double, bar: Double) {
            windows.map { window in
                let expected = Double(rate) / 8 * window.seconds
                return (window.octets / expected - 1, max(share, packets * 1500 / expected))
            }.max { abs($0.error) < abs($1.error) } ?? (.infinity, 0)
        }

        static let some = [
            Load(rate: 64_000, isTCP: true, flows: 1, direction: .download),
            Load(rate: 10_000_000, isTCP: true, flows: 100, direction: .download),
            Load(rate: 100_000_000, isTCP: false, flows: 1, direction: .upload),
        ]
    }

    @Test(
        "a rate is kept to 2 % or a packet over 10 s, and to 5 % or two packets over each second",
        arguments: isSoak ? Load.all : Load.some)
    func rate(_ load: Load) throws {
        let lab = try PlainLab()
        let node = try start(limitedTo: load.rate, on: lab)
        let kind: Bulk.Kind =
            load.isTCP ? .tcp : .udp(bitsPerSecond: max(load.rate * 5 / 4, UInt64(load.flows) * 20_000))
        let bulk = try Bulk(
            kind, load.direction, flows: load.flows, client: lab.client, server: lab.internet,
            at: lab.internetAddress.v4)
        // A hundred connections take their time at 64 kbit/s.
        usleep(load.rate < 1_000_000 ? 8_000_000 : 3_000_000)
        // A machine whose processors are wanted elsewhere for tens of milliseconds moves nothing in them: then once more.
        var isKept = false
        for _ in 0..<3 where !isKept {
            let receiver = load.direction == .upload ? lab.internet : lab.client
            isKept = load.isKept(by: try Arrivals(at: "eth0", of: receiver, seconds: 11))
        }
        #expect(bulk.complaint == nil)
        #expect(isKept, "\(load.testDescription)")
        withExtendedLifetime(node) {}
    }

    /// A node that limits clients from their first byte on, where packets leave as packets and are counted as such.
    private func start(limitedTo rate: UInt64, on lab: PlainLab) throws -> ForwarderProcess {
        for edge in [lab.tailnetEdge, lab.vpnEdge] {
            try lab.node.run(["ethtool", "-K", edge, "tso", "off", "gso", "off", "tx-udp-segmentation", "off"])
        }
        try lab.node.run(["mkdir", "/run/state"])
        let cap = ["--cap", "1TB", "--cap-meter", "tunnel", "--cap-stages", "1B rate \(rate)bit/s, 100% stop"]
        // A machine that is short of memory would time its disk.
        let node = try ForwarderProcess(
            Binary.path.path, on: lab, cap + ["--state-dir", "/run/state", "--dns", "off"],
            capabilities: [.netAdmin, .bpf, .ipcLock])
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(try lab.quota().rateBitPerS == rate)
        return node
    }

    // MARK: Latency

    /// How a link of ten megabits feels to who shares it with eight downloads.
    private struct Feel {
        /// Milliseconds that answers take longer than on an idle link, 99 of 100: those of a client that does nothing else, and
        /// of the one with seven of the downloads.
        let apart, among: Double
        /// Of the two clients that download, one of them by seven flows.
        let jain: Double
        /// The share of the rate that is used.
        let utilisation: Double
        /// What the machine itself took meanwhile: the longest delay of a thread that only slept, in milliseconds, and the share
        /// of the time that went to delays beyond those that a shaper makes up for.
        let delay, lost: Double

        /// The bars, and what no program on that machine could have kept.
        var isPleasant: Bool {
            apart < 20 + delay && among < 20 + delay && jain > 0.95 && utilisation > 0.95 - lost
        }
    }

    private static let slow: UInt64 = 10_000_000
    private static let downloaders = [(address: "100.64.0.3", flows: 7), (address: "100.64.0.4", flows: 1)]

    @Test(
        "at 10 Mbit/s beside eight downloads: no wait, fair shares, a full link; a plain queue has none of it but the last"
    )
    func latency() throws {
        let rounds = isSoak ? 5 : 1
        let ours = try PlainLab()
        let node = try start(limitedTo: Self.slow, on: ours)
        let plain = try PlainLab()
        try plain.enableKernelRouting()
        // A quarter of a megabyte is what a home router has for its line, or less than that.
        try plain.node.run(
            ["tc", "qdisc", "add", "dev", plain.tailnetEdge, "root", "tbf", "rate", "10mbit", "burst", "16k"]
                + ["limit", "256k"])
        for lab in [ours, plain] { try prepare(lab) }
        var (shaped, queued): ([Feel], [Feel]) = ([], [])
        var told: [String] = []
        // As with the rates: once more where the processors were wanted elsewhere.
        for _ in 0..<4 where shaped.isEmpty || !shaped.allSatisfy(\.isPleasant) {
            let before = try node.loopTimes()
            let feels = try interleave([ours, plain], rounds: rounds) { lab, _ in
                try feel(on: lab, seconds: isSoak ? 15 : 6)
            }
            (shaped, queued) = (feels[0], feels[1])
            tell("forwarder", shaped)
            tell("tbf and a FIFO", queued)
            told.append("\(feels); the loop \(before) then \(try node.loopTimes())")
        }
        for feel in shaped { #expect(feel.isPleasant, "\(told.joined(separator: "\n"))") }
        // The control: the load is one that fills a queue, and takes what it is not kept from.
        for feel in queued { #expect(feel.apart > 50 && feel.jain < 0.95 && feel.utilisation > 0.9, "\(feel)") }
        withExtendedLifetime(node) {}
    }

    private func tell(_ name: String, _ feels: [Feel]) {
        func all(_ value: (Feel) -> Double) -> String {
            feels.map { String(format: "%.2f", value($0)) }.joined(separator: " ")
        }
        print(
            "figure: beside bulk, \(name): added ms p99 \(all(\.apart)), from the busy client \(all(\.among)), "
                + "Jain \(all(\.jain)), utilisation \(all(\.utilisation))")
    }

    private func prepare(_ lab: PlainLab) throws {
        let addresses = Self.downloaders.map(\.address)
        try lab.client.ip(addresses.map { "addr add \($0)/32 dev eth0" }.joined(separator: "\n"))
        try lab.client.nft(
            "add table ip shares; add chain ip shares in { type filter hook prerouting priority 0; }; "
                + addresses.map { "add rule ip shares in ip daddr \($0) counter" }.joined(separator: "; "))
    }

    private func feel(on lab: PlainLab, seconds: Double) throws -> Feel {
        let interval = 0.02
        let count = Int(seconds / interval)
        func pings(from address: String, _ count: Int) throws -> PingSeries {
            try PingSeries(on: lab.client, to: lab.internetAddress.v4, from: address, count: count, every: interval)
        }
        let idle = Spread(try pings(from: lab.clientAddress.v4, 100).roundTrips()).median
        let bulk = try Self.downloaders.enumerated().map { number, client in
            try Bulk(
                .tcp, .download, flows: client.flows, client: lab.client, from: client.address, server: lab.internet,
                at: lab.internetAddress.v4, port: UInt16(5201 + number))
        }
        usleep(3_000_000)
        let machine = try Lateness()
        defer { machine.end() }
        let before = try shares(lab)
        let apart = try pings(from: lab.clientAddress.v4, count)
        let among = try pings(from: Self.downloaders[0].address, count)
        let whole = try Arrivals(at: "eth0", of: lab.client, seconds: seconds).whole
        let shares = zip(try shares(lab), before).map { $0 - $1 }
        let (delay, lost) = (machine.longest, machine.share(beyond: 20))
        let complaints = bulk.compactMap(\.complaint)
        #expect(complaints.isEmpty, "\(complaints)")
        func added(_ series: PingSeries) throws -> Double {
            let trips = try series.roundTrips().sorted()
            return trips.count < count / 2 ? .infinity : trips[trips.count * 99 / 100] - idle
        }
        let sum = shares.reduce(0, +)
        return Feel(
            apart: try added(apart), among: try added(among),
            jain: sum * sum / (Double(shares.count) * shares.reduce(0) { $0 + $1 * $1 }),
            utilisation: whole.octets * 8 / whole.seconds / Double(Self.slow), delay: delay, lost: lost)
    }

    /// Bytes that each of the downloaders has got.
    private func shares(_ lab: PlainLab) throws -> [Double] {
        // "ip daddr 100.64.0.3 counter packets 5 bytes 7500"
        let words = try lab.client.run(["nft", "list", "table", "ip", "shares"]).split(whereSeparator: \.isWhitespace)
        return words.indices.filter { words[$0] == "bytes" }.compactMap { Double(words[$0 + 1]) }
    }

    // MARK: The stop

    @Test(
        "bulk both ways passes the stop by less than a second of what it had, also where it begins from rest",
        arguments: isSoak ? [30, 300] : [30])
    func overshoot(megabytes: Int) throws {
        let lab = try WireGuardLab()
        _ = try UplinkTruth(of: lab)
        try lab.node.run(["ethtool", "-K", "eth0", "gro", "off"])
        try lab.node.run(["mkdir", "/run/state"])
        let node = try ForwarderProcess(
            Binary.path.path, on: lab,
            ["--cap", "\(megabytes)MB", "--cap-stages", "100% stop", "--state-dir", "/run/state", "--dns", "off"])
        let bulk = try Bulk(
            .tcp, .both, flows: 4, client: lab.client, server: lab.internet, at: lab.internetAddress.v4)
        let uplink = try Arrivals(at: "node0", of: lab.isp, seconds: Double(megabytes) / 15 + 3)
        let report = try lab.quota()
        #expect(report.rateBitPerS == 0 && report.stage == "100% stop", "\(report)")
        // Both ways are alike: what the client's tunnel brings, the VPN's takes, and back.
        let rate = 2 * (uplink.windows(of: 0.5).map { $0.octets / $0.seconds }.max() ?? 0)
        let limit = Double(megabytes) * 1e6
        let over = Double(report.usedBytes) - limit * 0.99
        print(
            "figure: past the stop, cap of \(megabytes) MB: \(Int(over / 1000)) kB at \(Int(rate / 1e6)) MB/s, "
                + "\(Int(over / rate * 1000)) ms")
        #expect(over >= 0 && over < rate, "at most a second")
        withExtendedLifetime((node, bulk)) {}
    }
}
