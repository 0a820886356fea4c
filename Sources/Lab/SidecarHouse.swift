// What stands around a node in the container of Tailscale and Gluetun: both sets of rules at once, and a neighbour.

extension WireGuardLab {
    /// Of the neighbour in the node's house, whom the uplink reaches without its gateway.
    package static let neighbourAddress = DualStack(v4: "192.168.7.3", v6: "2001:db8:2::3")
    package static let neighbourNetwork = DualStack(v4: "192.168.7.0/24", v6: "2001:db8:2::/64")

    /// Makes the node's uplink one port of a bridge in the provider's router, with a neighbour at another. Observers of
    /// `node0` go on seeing what the node sends.
    package func houseNeighbour() throws(LabFailure) -> LabHost {
        let neighbour = try LabHost(named: "neighbour")
        try isp.cable("neighbour0", to: neighbour, "eth0")
        try isp.ip(
            """
            link add house type bridge
            link set node0 master house
            link set neighbour0 master house
            link set house up
            addr flush dev node0
            addr add 192.0.2.1/30 dev house
            addr add 2001:db8:2::1/64 dev house
            """)
        try neighbour.ip(
            "addr add \(Self.neighbourAddress.v4)/24 dev eth0\naddr add \(Self.neighbourAddress.v6)/64 dev eth0")
        try node.ip("addr add 192.168.7.2/24 dev eth0")
        return neighbour
    }

    /// What Gluetun finds on the node.
    package var house: GluetunRules.House {
        .init(
            addresses: homeAddress,
            networks: (
                v4: ["192.0.2.0/30", Self.neighbourNetwork.v4], v6: ["2001:db8:2::/64", "fe80::/64"]
            ),
            gateways: .init(v4: "192.0.2.1", v6: "2001:db8:2::1"), endpoint: ("198.51.100.1", 51820))
    }

    /// Makes the node what it is as a sidecar: Gluetun's rules, and Tailscale's.
    package func layForeignRules(
        gluetun: PacketFilter = .iptablesOverNFT, tailscale: PacketFilter = .legacy, postRules: String = ""
    ) throws(LabFailure) -> (gluetun: GluetunRules, tailscale: TailscaleRules) {
        let gluetun = try GluetunRules(on: node, house, in: gluetun, postRules: postRules)
        return (gluetun, try TailscaleRules(on: node, nodeAddress, peer: clientAddress, in: tailscale))
    }

    /// Gluetun's VPN connects anew: `tun0` and what leads into it are deleted and made again.
    package func reconnect(
        _ gluetun: GluetunRules, meanwhile: () throws(LabFailure) -> Void = {}
    ) throws(LabFailure) {
        try gluetun.loseTunnel()
        cutVPNTunnel()
        try meanwhile()
        try digVPNTunnel()
        try gluetun.routeIntoTunnel()
    }
}
