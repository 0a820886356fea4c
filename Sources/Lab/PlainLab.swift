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

    package func enableKernelRouting() throws(LabFailure) { try node.startMasquerading(outOf: vpnEdge) }

    package func disableKernelRouting() throws(LabFailure) { try node.stopMasquerading() }
}
