import ArgumentParser
import FoundationEssentials
import Node

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Tell how the running node stands.")

    @OptionGroup var options: SettingOptions<ReachingANode>

    @OptionGroup var answer: AnswerOptions

    func run() throws {
        let report: StatusReport = try ControlClient.ask(.status, at: options.settings().controlSocket)
        try Output.answer(report, in: answer.form)
    }
}

extension StatusReport: Answer {
    var text: String {
        let present = [("tailnet", edges.tailnet), ("vpn", edges.vpn), ("uplink", edges.uplink)]
            .compactMap { role, edge in edge.map { "\(role) \($0.name) (\($0.kind.rawValue))" } }
        let exits = [exitAddresses.v4, exitAddresses.v6].compactMap(\.self)
        let ports = ports.map { [$0.inside, $0.outside].map { "\($0.name) (offloads \($0.offloads.rawValue))" } }
        let facts = textTable([
            ["state", state.rawValue + (waitingFor.map { " for " + $0.joined(separator: ", ") } ?? "")],
            ["up", durationText(seconds: Int(Date.now.timeIntervalSince(startedAt)))],
            ["node", "version \(version), process \(pid)"],
            ["io", "\(io.rawValue): \(ioReason)"],
            ["edges", present.isEmpty ? "none" : present.joined(separator: ", ")],
            ["ports", ports?.joined(separator: ", ") ?? "none"],
            ["leaves by", exits.isEmpty ? "none" : exits.joined(separator: ", ")],
            ["flows", "\(flows.live) of \(flows.capacity) live"],
            ["", "\(flows.opened) opened, \(flows.expired) expired, \(flows.evicted) evicted"],
            ["bindings", "\(bindings.inUse) of \(bindings.capacity) in use"],
        ])
        let traffic = textTable(
            [["forwarded", "packets", "bytes", "super-packets"]]
                + [("egress", forwarded.egress), ("ingress", forwarded.ingress)].map { way, traffic in
                    [way, "\(traffic.packets)", bytesText(traffic.bytes), "\(traffic.superPackets)"]
                })
        let dropped = drops.filter { $0.value > 0 }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let drops =
            dropped.isEmpty
            ? "no packet dropped\n" : textTable([["dropped", "packets"]] + dropped.map { [$0.key, "\($0.value)"] })
        return [facts, traffic, drops].joined(separator: "\n")
    }
}
