import LinuxNetwork

extension Probe {
    static let mtu = Probe("mtu", "Does what clients send fit the VPN, and that the uplink?", worst: .warning) {
        surroundings in
        let edges = surroundings.edges
        guard let tailnet = edges.tailnet, let vpn = edges.vpn else {
            return .notAsked("not both edges are there", remedy: "see the findings tailnet and vpn")
        }
        // Without a tunnel nothing is wrapped.
        let uplink = vpn.isEthernet || edges.uplink?.index == vpn.index ? nil : edges.uplink
        return MTUChain(
            tailnet: .init(tailnet.name, tailnet.mtu), vpn: .init(vpn.name, vpn.mtu),
            uplink: uplink.map { .init($0.name, $0.mtu) }
        ).judgement
    }
}

/// How large packets may be, from the client's tunnel to the wire.
struct MTUChain {
    struct Ring {
        let name: String
        let mtu: UInt32

        init(_ name: String, _ mtu: UInt32) { (self.name, self.mtu) = (name, mtu) }
    }

    let tailnet: Ring
    let vpn: Ring
    /// None where the vpn edge is the wire.
    let uplink: Ring?

    /// What WireGuard adds: an outer IPv4 or IPv6 header, UDP, its own header and tag.
    private static let overIPv4: UInt32 = 60
    private static let overIPv6: UInt32 = 80

    var judgement: Finding {
        let told = [tailnet, vpn, uplink].compactMap { $0.map { "\($0.name) \($0.mtu)" } }.joined(separator: ", ")
        if let uplink, vpn.mtu + Self.overIPv4 > uplink.mtu {
            return .warning(
                "a full packet of \(vpn.name) with WireGuard's \(Self.overIPv4) octets exceeds \(uplink.name): \(told)",
                remedy: "ip link set \(vpn.name) mtu \(uplink.mtu - min(uplink.mtu, Self.overIPv6))")
        }
        if vpn.mtu < tailnet.mtu {
            let fits = uplink.map { tailnet.mtu + Self.overIPv6 <= $0.mtu } ?? true
            return .note(
                "a full packet of \(tailnet.name) exceeds \(vpn.name), so TCP is told smaller segments and other packets are "
                    + "fragmented or refused: \(told)",
                remedy: fits
                    ? "ip link set \(vpn.name) mtu \(tailnet.mtu)" : "ip link set \(tailnet.name) mtu \(vpn.mtu)")
        }
        if let uplink, vpn.mtu + Self.overIPv6 > uplink.mtu {
            return .note(
                "a full packet of \(vpn.name) fits \(uplink.name) only as long as WireGuard goes over IPv4: \(told)",
                remedy:
                    "if it may go over IPv6: ip link set \(vpn.name) mtu \(uplink.mtu - min(uplink.mtu, Self.overIPv6))"
            )
        }
        return .ok(told)
    }
}
