internal import Synchronization

/// Both edges are real WireGuard tunnels; an internet service provider carries them and can watch.
///
///     client ============= tailscale0 node tun0 ============= wg0 server
///     100.64.0.2           100.64.0.1      10.64.0.2          10.64.0.1
///       | eth0               | eth0                             | eth0
///       | 192.0.2.6          | 192.0.2.2 (home)                 | 198.51.100.1 (exit)
///       +------- client0 --- isp --- node0       server0 -------+
///                             | internet0
///                          internet 203.0.113.10
///
/// The provider routes for everybody: a packet that leaves the node in clear does reach the internet, with the home
/// address.
package final class WireGuardLab: Lab {
    package let client: LabHost
    package let node: LabHost
    package let internet: LabHost
    /// The router in the middle. The node's uplink is its interface `node0`.
    package let isp: LabHost
    /// The VPN provider's.
    package let server: LabHost

    package let clientAddress = DualStack(v4: "100.64.0.2", v6: "fd7a:115c:a1e0::2")
    package let nodeAddress = DualStack(v4: "100.64.0.1", v6: "fd7a:115c:a1e0::1")
    package let exitAddress = DualStack(v4: "10.64.0.2", v6: "fd00:64::2")
    package let seenAddress = DualStack(v4: "198.51.100.1", v6: "2001:db8:51::1")
    package let internetAddress = DualStack(v4: "203.0.113.10", v6: "2001:db8:113::10")
    /// The node's own on its uplink, which the internet must never see.
    package let homeAddress = DualStack(v4: "192.0.2.2", v6: "2001:db8:2::2")
    /// Where the client's tunnel comes from.
    package let clientUnderlay = "192.0.2.6"

    /// The far end of each tunnel.
    private let farEnds: [WireGuard]
    private let vpnKeys: (near: WireGuard.Keys, far: WireGuard.Keys)
    private let vpnTunnel = Mutex<WireGuard?>(nil)
    /// The near end is the client's.
    private let tailnetKeys: (near: WireGuard.Keys, far: WireGuard.Keys)
    private let tailnetTunnel = Mutex<WireGuard?>(nil)

    package init() throws(LabFailure) {
        client = try LabHost(named: "client")
        node = try LabHost(named: "node")
        internet = try LabHost(named: "internet")
        isp = try LabHost(named: "isp")
        server = try LabHost(named: "server")
        try Self.layCables(client, node, server, internet, to: isp)
        vpnKeys = (near: try WireGuard.Keys(on: node), far: try WireGuard.Keys(on: server))
        tailnetKeys = (near: try WireGuard.Keys(on: client), far: try WireGuard.Keys(on: node))
        farEnds = try Self.digFarEnds(client, server, tailnetKeys, vpnKeys)
        try digTailnetTunnel()
        try digVPNTunnel()
        // The tunnel's own packets must not be routed into the tunnel.
        try client.ip(
            """
            route add 192.0.2.2 via 192.0.2.5
            route add default dev tailscale0
            route add ::/0 dev tailscale0
            """)
        try server.startMasquerading(outOf: "eth0")
    }

    /// The underlay: every host but the client has both IP versions and its default route at the provider.
    private static func layCables(
        _ client: LabHost, _ node: LabHost, _ server: LabHost, _ internet: LabHost, to isp: LabHost
    ) throws(LabFailure) {
        for host in [client, server, internet] { try isp.cable("\(host.name)0", to: host, "eth0") }
        try layUplink(node, to: isp)
        try isp.ip(
            """
            addr add 192.0.2.5/30 dev client0
            addr add 198.51.100.2/30 dev server0
            addr add 2001:db8:51::2/64 dev server0
            addr add 203.0.113.9/30 dev internet0
            addr add 2001:db8:113::9/64 dev internet0
            """)
        try isp.set("net/ipv4/ip_forward", to: "1")
        try isp.set("net/ipv6/conf/all/forwarding", to: "1")
        try client.ip("addr add 192.0.2.6/30 dev eth0")
        try server.ip(
            """
            addr add 198.51.100.1/30 dev eth0
            addr add 2001:db8:51::1/64 dev eth0
            route add default via 198.51.100.2
            route add default via 2001:db8:51::2
            """)
        try internet.ip(
            """
            addr add 203.0.113.10/30 dev eth0
            addr add 2001:db8:113::10/64 dev eth0
            route add default via 203.0.113.9
            route add default via 2001:db8:113::9
            """)
    }

    private static func layUplink(_ node: LabHost, to isp: LabHost) throws(LabFailure) {
        try isp.cable("node0", to: node, "eth0")
        try isp.ip("addr add 192.0.2.1/30 dev node0\naddr add 2001:db8:2::1/64 dev node0")
        try node.ip(
            """
            addr add 192.0.2.2/30 dev eth0
            addr add 2001:db8:2::2/64 dev eth0
            route add default via 192.0.2.1
            route add default via 2001:db8:2::1
            """)
    }

    private static func digFarEnds(
        _ client: LabHost, _ server: LabHost, _ tailnet: (near: WireGuard.Keys, far: WireGuard.Keys),
        _ vpn: (near: WireGuard.Keys, far: WireGuard.Keys)
    ) throws(LabFailure) -> [WireGuard] {
        [
            try WireGuard(
                "tailscale0", on: client, keys: tailnet.near, port: 41641, mtu: 1280,
                addresses: ["100.64.0.2/10", "fd7a:115c:a1e0::2/48"],
                peer: .init(
                    publicKey: tailnet.far.public, allowed: ["0.0.0.0/0", "::/0"], endpoint: "192.0.2.2:41641")),
            try WireGuard(
                "wg0", on: server, keys: vpn.far, port: 51820, mtu: 1420,
                addresses: ["10.64.0.1/24", "fd00:64::1/64"],
                peer: .init(
                    publicKey: vpn.near.public, allowed: ["10.64.0.2/32", "fd00:64::2/128"],
                    endpoint: "192.0.2.2:51821")),
        ]
    }

    /// Lays the node's uplink, with its addresses and default routes; one that was there must be gone.
    package func layUplink() throws(LabFailure) { try Self.layUplink(node, to: isp) }

    /// Takes the uplink away, at both ends.
    package func cutUplink() throws(LabFailure) { try node.ip("link del eth0") }

    /// Digs the node's end of the tailnet's tunnel, as tailscaled makes its interface; one that was there must be gone.
    ///
    /// - Parameter allowed: whom the client may say that it is.
    package func digTailnetTunnel(
        allowed: [String] = ["100.64.0.2/32", "fd7a:115c:a1e0::2/128"]
    ) throws(LabFailure) {
        let tunnel = try WireGuard(
            "tailscale0", on: node, keys: tailnetKeys.far, port: 41641, mark: 0x80000, mtu: 1280,
            addresses: ["100.64.0.1/10", "fd7a:115c:a1e0::1/48"],
            peer: .init(publicKey: tailnetKeys.near.public, allowed: allowed, endpoint: "192.0.2.6:41641"))
        tailnetTunnel.withLock { $0 = tunnel }
    }

    /// Ends it; the interface goes with it.
    package func cutTailnetTunnel() { tailnetTunnel.withLock { $0 = nil } }

    /// The node greets the client, which learns that its old session is of no use: tailscaled does so by other means.
    package func greetClient() throws(LabFailure) {
        try node.run(["wg", "set", "tailscale0", "peer", tailnetKeys.near.public, "persistent-keepalive", "25"])
    }

    /// Digs the node's end of the VPN's tunnel; one that was there must be gone.
    package func digVPNTunnel() throws(LabFailure) {
        let tunnel = try WireGuard(
            "tun0", on: node, keys: vpnKeys.near, port: 51821, mark: GluetunRules.mark, mtu: 1420,
            addresses: ["\(exitAddress.v4)/24", "\(exitAddress.v6)/64"],
            peer: .init(
                publicKey: vpnKeys.far.public, allowed: ["0.0.0.0/0", "::/0"], endpoint: "198.51.100.1:51820"))
        vpnTunnel.withLock { $0 = tunnel }
    }

    /// Ends it; the interface goes with it.
    package func cutVPNTunnel() { vpnTunnel.withLock { $0 = nil } }

    package func enableKernelRouting() throws(LabFailure) {
        for (version, destination) in routes {
            try node.run(["ip", version, "route", "add", "default", "dev", vpnEdge, "table", "100"])
            try node.run(["ip", version, "rule", "add", "iif", tailnetEdge, "lookup", "100"])
            // What the node itself has to say to the internet (packet too big) goes back the way it was asked.
            try node.run(["ip", version, "rule", "add", "to", destination, "lookup", "100"])
        }
        try node.startMasquerading(outOf: vpnEdge)
    }

    package func disableKernelRouting() throws(LabFailure) {
        try node.stopMasquerading()
        for (version, destination) in routes {
            try node.run(["ip", version, "rule", "del", "to", destination, "lookup", "100"])
            try node.run(["ip", version, "rule", "del", "iif", tailnetEdge, "lookup", "100"])
            try node.run(["ip", version, "route", "flush", "table", "100"])
        }
    }

    private var routes: [(version: String, destination: String)] {
        [("-4", internetAddress.v4), ("-6", internetAddress.v6)]
    }
}
