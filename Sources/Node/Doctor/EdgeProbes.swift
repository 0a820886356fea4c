import LinuxNetwork
import LinuxSystem
import LocalAPI

// The interfaces that a node stands between.

extension Probe {
    static let tailnet = Probe(
        "tailnet", "Is the tailnet edge there, up and addressed?", worst: .error
    ) { surroundings throws(KernelError) in
        try edge("tailnet", surroundings.settings.tailnet, surroundings.edges.tailnet, surroundings)
    }

    static let vpn = Probe("vpn", "Is the vpn edge there, up and addressed?", worst: .error) {
        surroundings throws(KernelError) in
        try edge("vpn", surroundings.settings.vpn, surroundings.edges.vpn, surroundings)
    }

    private static func edge(
        _ key: String, _ name: String, _ link: Link?, _ surroundings: borrowing Surroundings
    ) throws(KernelError) -> Finding {
        guard let link else {
            let others = try surroundings.netlink.links().filter { !$0.isLoopback }.map(\.name)
            let there = others.isEmpty ? "no interface is here" : "here are \(others.joined(separator: ", "))"
            if key == "tailnet", SubnetRouteWatch.answer(at: surroundings.settings.tailscaledSocket).routes != nil {
                return userspace(name, there)
            }
            return .error(
                "no interface is called \(name)",
                remedy: "start \(key == "vpn" ? "the VPN" : "tailscaled") first, "
                    + "or name its interface with --\(key) (\(there))")
        }
        if let refusal = surroundings.edges.unfit(link, named: name, as: key) { return .error(refusal) }
        guard link.isUp else { return .error("\(name) is down", remedy: "ip link set \(name) up") }
        let interface = key == "vpn" ? surroundings.edges.outside : surroundings.edges.inside
        let families = [interface.v4.map { _ in "IPv4" }, interface.v6.map { _ in "IPv6" }].compactMap(\.self)
        guard !families.isEmpty else {
            return .error(
                "\(name) has no address",
                remedy: "have \(key == "vpn" ? "the VPN client" : "tailscaled") give it one, "
                    + "or: ip address add ADDRESS dev \(name)")
        }
        return .ok(
            "\(name) is up, \(link.isEthernet ? "with Ethernet headers" : "layer 3"), "
                + "and has an address of \(families.joined(separator: " and "))")
    }

    static let vpnIPv6 = Probe("vpn_ipv6", "Can clients leave by IPv6?", worst: .note) { surroundings in
        let name = surroundings.settings.vpn
        guard surroundings.edges.vpn != nil else {
            return .notAsked("there is no \(name)", remedy: "see the finding vpn")
        }
        if surroundings.edges.outside.v6 != nil { return .ok("\(name) has an IPv6 address") }
        return withoutIPv6(name)
    }

    /// - Parameter there: which interfaces are here.
    static func userspace(_ name: String, _ there: String = "see ip link") -> Finding {
        .error(
            "tailscaled runs, and no interface is called \(name), as in userspace mode",
            remedy: "give tailscaled an interface: TS_USERSPACE=false, or tailscaled --tun=\(name); "
                + "or name the one that it has with --tailnet (\(there))")
    }

    static func withoutIPv6(_ name: String) -> Finding {
        .note(
            "\(name) has no IPv6 address: what clients send by IPv6 is answered with unreachable, at once",
            remedy: "where the VPN has IPv6, add its address to the tunnel's configuration, "
                + "or: ip address add ADDRESS/128 dev \(name)")
    }
}
