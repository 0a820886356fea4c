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

extension StatusReport.DNS {
    fileprivate var sentence: String {
        if let trouble { return trouble.sentence }
        return "\(listen) asks \(direct) over the uplink (\(counts.direct.answered) answered), "
            + "\(vpn ?? "") over the VPN (\(counts.vpn.answered))"
    }
}

extension StatusReport.Guard {
    fileprivate var sentence: String {
        let refusals = refused.filter { $0.value.packets > 0 }.sorted {
            ($1.value.packets, $0.key) < ($0.value.packets, $1.key)
        }
        .map { "\($0.key) \($0.value.packets)" }.joined(separator: ", ")
        let place = interfaces.isEmpty ? "no uplink" : interfaces.joined(separator: ", ")
        switch mode {
        case .on: return "on at \(place); refused: \(refusals.isEmpty ? "nothing" : refusals)"
        case .observe:
            return "only observes at \(place): \(leaked.packets) packets leaked"
                + (refusals.isEmpty ? "" : " (\(refusals))")
        }
    }
}

extension StatusReport.VPN {
    fileprivate var lines: [[String]] {
        let time = durationText(seconds: Int(Date.now.timeIntervalSince(since)))
        let handshake = lastHandshake.map {
            ", last handshake \(durationText(seconds: Int(Date.now.timeIntervalSince($0)))) ago"
        }
        let known = [fwmark.map { "mark \($0)" }].compactMap(\.self) + endpoints.map { "to \($0)" }
        return [
            ["vpn", "\(state.rawValue) for \(time)" + (because.map { ": \($0)" } ?? "") + (handshake ?? "")],
            ["", "its own packets: " + (known.isEmpty ? "not known" : known.joined(separator: ", "))],
        ]
    }
}

extension StatusReport.Cap {
    fileprivate var sentence: String {
        let used = limitBytes.map { "\(bytesText(usedBytes)) of \(bytesText($0)) used" }
        let rate =
            switch rateBitPerS {
            case nil: "not limited"
            case 0?: "stopped"
            case let rate?: "\(rate) bit/s each way"
            }
        let waiting = queue.values.reduce(0) { $0 + $1.waitingPackets }
        let delay = queue.values.map(\.delayMeanMs).max() ?? 0
        return (used ?? "\(bytesText(usedBytes)) used, not capped until the period ends")
            + (stage.map { "; \($0): clients \(rate)" } ?? "")
            + (waiting > 0 ? "; \(waiting) packets wait, some \(decimalText(delay, places: 0)) ms" : "")
    }
}

extension StatusReport: Answer {
    var text: String {
        let present = [("tailnet", edges.tailnet), ("vpn", edges.vpn), ("uplink", edges.uplink)]
            .map { role, edge in edge.map { "\(role) \($0.name) (\($0.kind.rawValue))" } ?? "no \(role)" }
        let exits = [exitAddresses.v4, exitAddresses.v6].compactMap(\.self)
        let ports = ports.map { [$0.inside, $0.outside].map { "\($0.name) (offloads \($0.offloads.rawValue))" } }
        let control =
            controlPlaneMarking == .ebpf
            ? "marked by eBPF at tailscaled's cgroup" : "by tailscaled's own mark (why: forwarder doctor)"
        let facts = textTable(
            [
                ["state", state.rawValue + (waitingFor.map { " for " + $0.joined(separator: ", ") } ?? "")],
                ["up", durationText(seconds: Int(Date.now.timeIntervalSince(startedAt)))],
                ["node", "version \(version), process \(pid)"],
                ["io", "\(io.rawValue): \(ioReason)"],
                ["edges", present.joined(separator: ", ")],
                ["ports", ports?.joined(separator: ", ") ?? "none"],
            ] + (vpn?.lines ?? []) + [
                ["leaves by", exits.isEmpty ? "none" : exits.joined(separator: ", ")],
                ["local", local.isEmpty ? "none" : local.joined(separator: ", ")],
                ["control", control],
                ["guard", `guard`?.sentence ?? "none"],
            ] + (cap.map { [["cap", $0.sentence]] } ?? []) + notes.enumerated().map { [$0 == 0 ? "note" : "", $1] }
                + (dns.map { [["names", $0.sentence]] } ?? [])
                + [
                    ["flows", "\(flows.live) of \(flows.capacity) live"],
                    [
                        "",
                        "\(flows.opened) opened, \(flows.expired) expired, \(flows.evicted) evicted"
                            + (flows.flushed > 0 ? ", \(flows.flushed) flushed" : ""),
                    ],
                    ["bindings", "\(bindings.inUse) of \(bindings.capacity) in use"],
                ])
        var ways = [("egress", forwarded.egress), ("ingress", forwarded.ingress)]
        if forwarded.hairpin.packets > 0 { ways.append(("hairpin", forwarded.hairpin)) }
        let traffic = textTable(
            [["forwarded", "packets", "bytes", "super-packets"]]
                + ways.map { [$0, "\($1.packets)", bytesText($1.bytes), "\($1.superPackets)"] })
        let drops = Self.countTable("dropped", "packets", drops) ?? "no packet dropped\n"
        let told = errors.sent.merging(["suppressed": errors.suppressed]) { $1 }
        return ([facts, traffic, drops] + [Self.countTable("answered", "errors", told)].compactMap(\.self))
            .joined(separator: "\n")
    }

    /// What happened at all, the most frequent first; nothing where nothing did.
    private static func countTable(_ what: String, _ unit: String, _ counts: [String: UInt64]) -> String? {
        let counted = counts.filter { $0.value > 0 }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        return counted.isEmpty ? nil : textTable([[what, unit]] + counted.map { [$0.key, "\($0.value)"] })
    }
}
