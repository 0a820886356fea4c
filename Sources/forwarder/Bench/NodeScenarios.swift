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
        // Pings before anybody forwards, each with the time of its answer.
        let pings = try lab.client.start(
            ["ping", "-D", "-n", "-i", "0.002", "-c", "4000", lab.internetAddress.v4])
        usleep(100_000)
        let started = Date().timeIntervalSince1970
        let forwarder = try ForwarderProcess(on: lab, ["--io", variant.rawValue])
        usleep(100_000)
        let times = pings.standardOutput.split(separator: "[").dropFirst().compactMap {
            $0.split(separator: "]").first.flatMap { Double($0) }
        }
        try forwarder.giveBack()
        guard let first = times.first else {
            throw LabFailure(couldNot: "time the first packet", because: "no ping was answered")
        }
        return Variant.Sample(value: (first - started) * 1000, processorSeconds: nil)
    }

    /// Memory with the default table full of live flows and every buffer used once.
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
        usleep(500_000)
        let before = try forwarder.processorSeconds()
        sleep(UInt32(seconds))
        let used = try forwarder.processorSeconds() - before
        try forwarder.giveBack()
        return Variant.Sample(value: used * 1000 / Double(seconds), processorSeconds: used)
    }
}
