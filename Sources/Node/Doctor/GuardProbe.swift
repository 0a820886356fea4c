import LinuxNetwork
import LinuxSystem

extension Probe {
    static let uplinkGuard = Probe(
        "guard", "Does the guard stand on each uplink, or may it be put there?", worst: .error
    ) { surroundings throws(KernelError) in
        let uplinks = surroundings.edges.uplinks
        if let refusal = uplinks.lockOut(surroundings.settings) { return .error(refusal) }
        var bare: [String] = []
        for link in uplinks.links {
            let stands = try surroundings.netlink.filters(on: link, .egress).contains(Attachment.filter(.guardEgress))
            if !stands { bare.append(link.name) }
        }
        return judge(
            uplinks.links.map(\.name), bare: bare, surroundings.settings, surroundings.status?.guard,
            isExpected: surroundings.isClosingExpected)
    }

    /// - Parameters:
    ///   - bare: those of the uplinks that have no guard.
    ///   - told: what the node says that runs.
    ///   - isExpected: whether a node has been here and closed the host.
    static func judge(
        _ uplinks: [String], bare: [String], _ settings: NodeSettings, _ told: StatusReport.Guard?, isExpected: Bool
    ) -> Finding {
        guard !uplinks.isEmpty else { return .ok("no uplink is known that it could stand on") }
        let names = uplinks.joined(separator: ", ")
        if isExpected, !bare.isEmpty {
            return .warning(
                "no guard stands on \(bare.joined(separator: ", ")), which was made anew, or somebody took it away",
                remedy: told == nil
                    ? nextCommand("guard", controlSocket: settings.controlSocket)
                    : "start the node again: \(nextCommand("run", controlSocket: settings.controlSocket))")
        }
        if (told?.mode ?? settings.guarding) == .observe {
            return .warning(
                "the guard on \(names) only observes, and has let pass \(told?.leaked.packets ?? 0) packets",
                remedy: "FORWARDER_GUARD=on")
        }
        guard bare.isEmpty else { return .ok("a node will put it on \(names)") }
        let refused = told?.refused.values.reduce(0) { $0 + $1.packets }
        return .ok("it stands on \(names)" + (refused.map { ", and has refused \($0) packets" } ?? ""))
    }
}
