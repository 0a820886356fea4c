import FoundationEssentials
import Glibc
import Lab
import Node

// What a node costs beside the packets: the wait for its first one, memory, and time when nothing moves.

extension Scenario {
    /// From the start of the process to the answer of the first ping that it let pass.
    static let start = Scenario(
        name: "start", unit: "ms", better: .lower, lab: .plain, variants: [.uring, .poll]
    ) { lab, variant, _ throws(LabFailure) in
        var started = 0.0
        var forwarder: ForwarderProcess?
        let first = try firstAnswer(on: lab) { () throws(LabFailure) in
            started = Date().timeIntervalSince1970
            forwarder = try ForwarderProcess(on: lab, ["--io", variant.rawValue])
        }
        try forwarder?.giveBack()
        return Variant.Sample(value: (first - started) * 1000, processorSeconds: nil)
    }

    /// From the return of a VPN's interface, with its addresses and routes, to the answer of the first ping.
    static let interfaceBack = Scenario(
        name: "interface_back", unit: "ms", better: .lower, lab: .plain, variants: [.uring, .poll]
    ) { lab, variant, _ throws(LabFailure) in
        guard let lab = lab as? PlainLab else { return Variant.Sample(value: .nan, processorSeconds: nil) }
        let forwarder = try ForwarderProcess(on: lab, ["--io", variant.rawValue])
        try lab.node.ip("link delete \(lab.vpnEdge)")
        var back = 0.0
        let first = try firstAnswer(on: lab) { () throws(LabFailure) in
            try lab.makeVPNEdge(lab.exitAddress)
            back = Date().timeIntervalSince1970
        }
        try forwarder.giveBack()
        return Variant.Sample(value: max(0, first - back) * 1000, processorSeconds: nil)
    }

    /// When the first of many pings is answered, which begin before `change`: seconds since 1970.
    private static func firstAnswer(
        on lab: any Lab, after change: () throws(LabFailure) -> Void
    ) throws(LabFailure) -> Double {
        let pings = try lab.client.start(["ping", "-D", "-n", "-i", "0.002", "-c", "4000", lab.internetAddress.v4])
        usleep(100_000)
        try change()
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(5)
        while clock.now < deadline {
            // "[1700000000.123456] 64 bytes from 203.0.113.10: icmp_seq=7 ttl=63 time=0.1 ms"
            let answer = pings.standardOutput.split(separator: "\n").first { $0.contains(" bytes from ") }
            if let time = answer?.dropFirst().prefix(while: { $0 != "]" }), let time = Double(time) { return time }
            usleep(10_000)
        }
        throw LabFailure(couldNot: "time the first packet", because: "no ping was answered")
    }

    /// Memory at rest, with the default table full of live flows and every buffer used once.
    static let residentMemory = Scenario(
        name: "resident_memory", unit: "MB", better: .lower, lab: .plain, variants: [.uring, .poll]
    ) { lab, variant, _ throws(LabFailure) in
        let flows = 65_536
        let forwarder = try ForwarderProcess(on: lab, ["--io", variant.rawValue, "--flows", "\(flows)"])
        try lab.client.sendDatagrams(to: lab.internetAddress.v4, ports: 1...65_535)
        try lab.client.sendDatagrams(to: lab.internetAddress.v6, ports: 1...2000)
        for direction in [Transfer.Direction.upload, .download] {
            _ = try Throughput(
                direction, seconds: 1, client: lab.client, server: lab.internet, at: lab.internetAddress.v4)
        }
        let live = try forwarder.ask(["status"], for: StatusReport.self).flows.live
        guard live == flows else {
            throw LabFailure(couldNot: "fill the table", because: "\(live) of \(flows) flows are live")
        }
        // What the answer took is given back a second later.
        usleep(1_500_000)
        let bytes = try forwarder.residentBytes()
        try forwarder.giveBack()
        return Variant.Sample(value: Double(bytes) / 1e6, processorSeconds: nil)
    }

    /// Processor time of a node with live flows and no packets.
    static let idle = Scenario(
        name: "idle", unit: "ms of processor time a second", better: .lower, lab: .plain, variants: [.uring, .poll]
    ) { lab, variant, seconds throws(LabFailure) in
        let forwarder = try ForwarderProcess(on: lab, ["--io", variant.rawValue])
        try lab.client.sendDatagrams(to: lab.internetAddress.v4, ports: 1...2000)
        // What the start leaves to do is done a second after it.
        usleep(2_500_000)
        let before = try forwarder.processorSeconds()
        sleep(UInt32(seconds))
        let used = try forwarder.processorSeconds() - before
        try forwarder.giveBack()
        return Variant.Sample(value: used * 1000 / Double(seconds), processorSeconds: used)
    }
}
