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

    /// The far end of each tunnel, and the node's on the tailnet.
    private let tunnels: [WireGuard]
    private let vpnKeys: (near: WireGuard.Keys, far: WireGuard.Keys)
    private let vpnTunnel = Mutex<WireGuard?>(nil)

    package init() throws(LabFailure) {
        client = try LabHost(named: "client")
        node = try LabHost(named: "node")
        internet = try LabHost(named: "internet")
        isp = try LabHost(named: "isp")
        server = try LabHost(named: "server")
        try Self.layCables(client, node, server, internet, to: isp)
        vpnKeys = (near: try WireGuard.Keys(on: node), far: try WireGuard.Keys(on: server))
        tunnels = try Self.digTunnels(client, node, server, vpnKeys)
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
        for host in [client, node, server, internet] { try isp.cable("\(host.name)0", to: host, "eth0") }
        try isp.ip(
            """
            addr add 192.0.2.5/30 dev client0
            addr add 192.0.2.1/30 dev node0
            addr add 2001:db8:2::1/64 dev node0
            addr add 198.51.100.2/30 dev server0
            addr add 2001:db8:51::2/64 dev server0
            addr add 203.0.113.9/30 dev internet0
            addr add 2001:db8:113::9/64 dev internet0
            """)
        try isp.set("net/ipv4/ip_forward", to: "1")
        try isp.set("net/ipv6/conf/all/forwarding", to: "1")
        try client.ip("addr add 192.0.2.6/30 dev eth0")
        try node.ip(
            """
            addr add 192.0.2.2/30 dev eth0
            addr add 2001:db8:2::2/64 dev eth0
            route add default via 192.0.2.1
            route add default via 2001:db8:2::1
            """)
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

    private static func digTunnels(
        _ client: LabHost, _ node: LabHost, _ server: LabHost, _ vpn: (near: WireGuard.Keys, far: WireGuard.Keys)
    ) throws(LabFailure) -> [WireGuard] {
        let clientKeys = try WireGuard.Keys(on: client)
        let nodeKeys = try WireGuard.Keys(on: node)
        return [
            try WireGuard(
                "tailscale0", on: client, keys: clientKeys, port: 41641, mtu: 1280,
                addresses: ["100.64.0.2/10", "fd7a:115c:a1e0::2/48"],
                peer: .init(publicKey: nodeKeys.public, allowed: ["0.0.0.0/0", "::/0"], endpoint: "192.0.2.2:41641")),
            try WireGuard(
                "tailscale0", on: node, keys: nodeKeys, port: 41641, mark: 0x80000, mtu: 1280,
                addresses: ["100.64.0.1/10", "fd7a:115c:a1e0::1/48"],
                peer: .init(
                    publicKey: clientKeys.public, allowed: ["100.64.0.2/32", "fd7a:115c:a1e0::2/128"],
                    endpoint: "192.0.2.6:41641")),
            try WireGuard(
                "wg0", on: server, keys: vpn.far, port: 51820, mtu: 1420,
                addresses: ["10.64.0.1/24", "fd00:64::1/64"],
                peer: .init(
                    publicKey: vpn.near.public, allowed: ["10.64.0.2/32", "fd00:64::2/128"],
                    endpoint: "192.0.2.2:51821")),
        ]
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
