import LinuxNetwork
import LinuxSystem

// What a look finds that a person should know though the node goes on, as doctor would say it.

extension RunningNode {
    /// - Parameters:
    ///   - routing: of the same look as the edges.
    ///   - isUserspace: whether tailscaled runs, and might do so without an interface.
    func notes(
        _ edges: Edges, _ routing: Routing, _ settings: NodeSettings, isUserspace: Bool, _ host: borrowing Host
    ) throws(KernelError) -> [Finding] {
        // Where a rule of ours was gone it is back by now, behind those of the same preference.
        var findings = [Probe.judge(routing.rules, settings, isExpected: false)]
        if edges.tailnet == nil, isUserspace { findings.append(Probe.userspace(settings.tailnet)) }
        if edges.vpn != nil, edges.outside.v4 != nil, edges.outside.v6 == nil {
            findings.append(Probe.withoutIPv6(settings.vpn))
        }
        if edges.uplinks.links.isEmpty { findings.append(Probe.withoutUplink(settings)) }
        for uplink in edges.uplinks.links {
            // What they let pass the guard never counts: attestation must say so.
            let filters = Probe.judge(uplink.name, egress: try host.netlink.filters(on: uplink, .egress))
            let early = try EarlyPrograms(at: uplink, meeting: .tunnels).judgement
            findings += [filters, early].filter { $0.severity >= .warning }
        }
        let defaults = try DefaultRoute.all(in: routing.first, host.netlink)
        findings.append(
            Probe.judge(defaults, named: settings.uplink, tailnet: settings.tailnet, vpn: settings.vpn))
        return findings.filter { $0.severity > .ok }
    }
}
