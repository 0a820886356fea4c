import LinuxNetwork
import LinuxSystem
import Steering

extension Probe {
    static let uplinkGuard = Probe(
        "guard", "Does the guard stand on each uplink, or may it be put there?", worst: .error
    ) { surroundings throws(KernelError) in
        let uplinks = surroundings.edges.uplinks
        if let refusal = uplinks.lockOut(surroundings.settings) { return .error(refusal) }
        for link in uplinks.links where try surroundings.netlink.hooks(of: link) == "ingress" {
            return .error(
                Refusal(closing: KernelError("RTM_NEWQDISC", .fileExists, link.name), couldNot: "close the host"))
        }
        let bare = try uplinks.unguarded(surroundings.netlink).map(\.name)
        return judge(
            uplinks.links.map(\.name), bare: bare, surroundings.settings, surroundings.status?.guard,
            isExpected: surroundings.isClosingExpected)
    }

    static func withoutUplink(_ settings: NodeSettings) -> Finding {
        .warning(
            "no uplink is known that a guard could stand on, so what bears no mark may leave by any interface",
            remedy: settings.uplink == nil ? "name it, for example FORWARDER_UPLINK=eth0" : "see the finding uplink")
    }

    /// - Parameters:
    ///   - bare: those of the uplinks that have no guard.
    ///   - told: what the node says that runs.
    ///   - isExpected: whether a node has been here and closed the host.
    static func judge(
        _ uplinks: [String], bare: [String], _ settings: NodeSettings, _ told: StatusReport.Guard?, isExpected: Bool
    ) -> Finding {
        guard !uplinks.isEmpty else { return withoutUplink(settings) }
        let names = uplinks.joined(separator: ", ")
        if isExpected, !bare.isEmpty {
            return .warning(
                "no guard stands on \(bare.joined(separator: ", ")), which was made anew, or somebody took it away",
                remedy: told == nil
                    ? nextCommand("guard", controlSocket: settings.controlSocket)
                    : "start the node again: \(nextCommand("run", controlSocket: settings.controlSocket))")
        }
        let unknown = uplinks.dropFirst(Steering.uplinkLimit)
        guard unknown.isEmpty else {
            return .warning(
                "there are more than \(Steering.uplinkLimit) uplinks: by \(unknown.joined(separator: ", ")) nothing may "
                    + "leave, the control plane neither",
                remedy: "name the one that is meant: FORWARDER_UPLINK=\(uplinks[0])")
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
