/// Both edges are Ethernet (veth) and deliver super-packets, as a current tailscaled or a kernel WireGuard would.
///
///     client eth0 ---- tailscale0 node tun0 ---- eth0 internet
///     100.64.0.2       100.64.0.1      10.64.0.2      10.64.0.1, and 203.0.113.10 behind it
///
/// The internet knows no way back to the tailnet: a packet that leaves the node with the client's address is never
/// answered.
package final class PlainLab: Lab {
    package let client: LabHost
    package let node: LabHost
    package let internet: LabHost

    package let clientAddress = DualStack(v4: "100.64.0.2", v6: "fd7a:115c:a1e0::2")
    package let nodeAddress = DualStack(v4: "100.64.0.1", v6: "fd7a:115c:a1e0::1")
    package let exitAddress = DualStack(v4: "10.64.0.2", v6: "fd00:64::2")
    package var seenAddress: DualStack { exitAddress }
    package let internetAddress = DualStack(v4: "203.0.113.10", v6: "2001:db8:113::10")

    package init() throws(LabFailure) {
        client = try LabHost(named: "client")
        node = try LabHost(named: "node")
        internet = try LabHost(named: "internet")
        try internet.ip(
            """
            addr add \(internetAddress.v4)/32 dev lo
            addr add \(internetAddress.v6)/128 dev lo
            """)
        try makeTailnetEdge()
        try makeVPNEdge(exitAddress)
    }

    /// Lays the cable to the client, as tailscaled makes its interface; one that was there must be gone.
    package func makeTailnetEdge() throws(LabFailure) {
        try client.cable("eth0", to: node, tailnetEdge)
        try client.ip(
            """
            addr add \(clientAddress.v4)/10 dev eth0
            addr add \(clientAddress.v6)/48 dev eth0
            route add default via \(nodeAddress.v4)
            route add default via \(nodeAddress.v6)
            """)
        try node.ip(
            """
            addr add \(nodeAddress.v4)/10 dev \(tailnetEdge)
            addr add \(nodeAddress.v6)/48 dev \(tailnetEdge)
            """)
    }

    /// Lays the cable to the internet, as a VPN client makes its tunnel; one that was there must be gone.
    package func makeVPNEdge(_ address: DualStack) throws(LabFailure) {
        try node.cable(vpnEdge, to: internet, "eth0")
        try internet.ip(
            """
            addr add 10.64.0.1/24 dev eth0
            addr add fd00:64::1/64 dev eth0
            """)
        try node.ip(
            """
            addr add \(address.v4)/24 dev \(vpnEdge)
            addr add \(address.v6)/64 dev \(vpnEdge)
            route add default via 10.64.0.1
            route add default via fd00:64::1
            """)
    }

    /// Digs a tunnel in the place of the tailnet edge: layer 3, as tailscaled's own is. It goes with its ends.
    package func digTailnetEdge() throws(LabFailure) -> [WireGuard] {
        let ends = try dig(
            "eth0", on: client, ["\(clientAddress.v4)/10", "\(clientAddress.v6)/48"], tailnetEdge,
            ["\(nodeAddress.v4)/10", "\(nodeAddress.v6)/48"], over: ("192.0.2.1", "192.0.2.2"), port: 41641)
        try client.ip("route add default dev eth0\nroute add ::/0 dev eth0")
        return ends
    }

    /// Digs a tunnel in the place of the vpn edge, as a VPN client does.
    package func digVPNEdge() throws(LabFailure) -> [WireGuard] {
        let ends = try dig(
            "eth0", on: internet, ["10.64.0.1/24", "fd00:64::1/64"], vpnEdge,
            ["\(exitAddress.v4)/24", "\(exitAddress.v6)/64"], over: ("192.0.2.5", "192.0.2.6"), port: 51820)
        try node.ip("route add default dev \(vpnEdge)\nroute add ::/0 dev \(vpnEdge)")
        return ends
    }

    /// A tunnel over a cable of its own, which is laid anew.
    private func dig(
        _ far: String, on host: LabHost, _ farAddresses: [String], _ near: String, _ nearAddresses: [String],
        over underlay: (near: String, far: String), port: UInt16
    ) throws(LabFailure) -> [WireGuard] {
        let cable = "\(host.name)0"
        if try node.run(["ip", "-br", "link"]).contains(cable) { try node.ip("link delete \(cable)") }
        try node.cable(cable, to: host, cable)
        try node.ip("addr add \(underlay.near)/30 dev \(cable)")
        try host.ip("addr add \(underlay.far)/30 dev \(cable)")
        let (farKeys, nearKeys) = (try WireGuard.Keys(on: host), try WireGuard.Keys(on: node))
        func end(
            _ interface: String, _ host: LabHost, _ keys: WireGuard.Keys, _ addresses: [String],
            _ peer: WireGuard.Keys, at endpoint: String
        ) throws(LabFailure) -> WireGuard {
            try WireGuard(
                interface, on: host, keys: keys, port: port, mtu: 1420, addresses: addresses,
                peer: .init(publicKey: peer.public, allowed: ["0.0.0.0/0", "::/0"], endpoint: "\(endpoint):\(port)"))
        }
        return [
            try end(far, host, farKeys, farAddresses, nearKeys, at: underlay.near),
            try end(near, node, nearKeys, nearAddresses, farKeys, at: underlay.far),
        ]
    }

    package func enableKernelRouting() throws(LabFailure) { try node.startMasquerading(outOf: vpnEdge) }

    package func disableKernelRouting() throws(LabFailure) { try node.stopMasquerading() }
}
