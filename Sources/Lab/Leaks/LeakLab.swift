internal import LinuxSystem

/// A node as a sidecar of Tailscale and Gluetun, in which every way out is open and watched: whatever leaves it by the wrong
/// side arrives, and is seen.
///
/// The node's kernel forwards, the provider routes everything, and who is asked says nothing: first packets are enough. It
/// begins with a VPN that has failed wholly, tunnel, routing and firewall: nothing but a guard holds anything back.
package final class LeakLab: Sendable {
    package let lab: WireGuardLab
    package let tailscaled: TailscaledProcess
    package let gluetun: GluetunRules
    package let tailscale: TailscaleRules
    /// Of the uplink, also of one that is made anew.
    package let uplink: ProbeObserver
    /// Of the VPN, at its provider's.
    package let vpn: ProbeObserver
    /// Of the tailnet, at the client's.
    package let tailnet: ProbeObserver
    package let chatter: Chatter
    private let echo: EchoServer

    /// Whom the node asks for names, on each side. Neither answers.
    package static let resolvers = (direct: "9.9.9.9", vpn: "10.64.0.1")
    package static let gateways = DualStack(v4: "192.0.2.1", v6: "2001:db8:2::1")

    /// - Parameter postRules: what Gluetun's firewall is told.
    package init(postRules: String) throws(LabFailure) {
        lab = try WireGuardLab()
        let (client, node, isp) = (lab.client, lab.node, lab.isp)
        try isp.ip("route add default via 203.0.113.10\nroute add ::/0 via 2001:db8:113::10")
        // As tailscaled asks of an exit node.
        try node.set("net/ipv4/ip_forward", to: "1")
        try node.set("net/ipv6/conf/all/forwarding", to: "1")
        // A client that says it is somebody else is not stopped before it comes to the node's own rules.
        lab.cutTailnetTunnel()
        try lab.digTailnetTunnel(allowed: Self.anybody)
        (gluetun, tailscale) = try lab.layForeignRules(postRules: postRules)
        // Before a packet has left by the VPN that belongs to the uplink: wireguard-go would remember the way.
        try gluetun.loseTunnel()
        lab.cutVPNTunnel()
        try gluetun.flushRuleset()
        try Self.letServerSendAnything(lab)
        tailscaled = try TailscaledProcess(on: node, port: 41642)
        uplink = try ProbeObserver(on: isp, besides: ["client0", "server0", "internet0"])
        vpn = try ProbeObserver(on: lab.server, interface: "wg0")
        tailnet = try ProbeObserver(on: client, interface: "tailscale0")
        echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        chatter = try Chatter(on: client, to: lab.internetAddress)
    }

    /// Packets that one of the observers was too slow to see.
    package var missed: Int { uplink.missed + vpn.missed + tailnet.missed }

    static let anybody = ["0.0.0.0/0", "::/0"]

    /// A provider who wishes so may send the node packets for its clients.
    private static func letServerSendAnything(_ lab: WireGuardLab) throws(LabFailure) {
        let peer =
            try lab.server.run(["wg", "show", "wg0", "peers"]).split(separator: "\n").first.map(String.init) ?? ""
        let (exit, client) = (lab.exitAddress, lab.clientAddress)
        let all = ["\(exit.v4)/32", "\(exit.v6)/128", "\(client.v4)/32", "\(client.v6)/128"].joined(separator: ",")
        try lab.server.run(["wg", "set", "wg0", "peer", peer, "allowed-ips", all])
        try lab.server.ip("route add \(client.v4) dev wg0\nroute add \(client.v6) dev wg0")
    }
}

// MARK: What befalls it

extension LeakLab {
    /// Every rule of everybody in nftables is gone, as when Gluetun's firewall fails.
    package func flushRuleset() throws(LabFailure) { try gluetun.flushRuleset() }
    package func restoreRuleset() throws(LabFailure) { try gluetun.layFirewall() }

    /// As Gluetun ends its tunnel: none of its routing into it stays.
    package func cutVPN() throws(LabFailure) {
        try gluetun.loseTunnel()
        lab.cutVPNTunnel()
    }

    package func redigVPN() throws(LabFailure) {
        try lab.digVPNTunnel()
        try gluetun.routeIntoTunnel()
    }

    /// The VPN's server is out of reach: the tunnel stands and carries nothing.
    package func silenceServer() throws(LabFailure) { try lab.isp.ip("route add blackhole 198.51.100.1/32") }
    package func unsilenceServer() throws(LabFailure) { try lab.isp.ip("route del blackhole 198.51.100.1/32") }

    package func downVPN() throws(LabFailure) { try lab.node.ip("link set tun0 down") }

    /// Its routes and the addresses of IPv6 went with the link's state.
    package func upVPN() throws(LabFailure) {
        try lab.node.ip(
            """
            link set tun0 up
            addr replace \(lab.exitAddress.v6)/64 dev tun0
            route replace default dev tun0 table \(GluetunRules.mark)
            route replace ::/0 dev tun0 table \(GluetunRules.mark)
            """)
    }

    package func downUplink() throws(LabFailure) { try lab.node.ip("link set eth0 down") }

    package func upUplink() throws(LabFailure) {
        try lab.node.ip(
            """
            link set eth0 up
            addr replace \(lab.homeAddress.v6)/64 dev eth0
            route replace default via \(Self.gateways.v4)
            route replace ::/0 via \(Self.gateways.v6)
            """)
        try gluetun.routeByUplink()
    }

    package func cutUplink() throws(LabFailure) { try lab.cutUplink() }

    package func relayUplink() throws(LabFailure) {
        try lab.layUplink()
        try gluetun.routeByUplink()
    }

    package func cutTailnet() { lab.cutTailnetTunnel() }

    package func redigTailnet() throws(LabFailure) {
        try lab.digTailnetTunnel(allowed: Self.anybody)
        try tailscale.routeIntoTailnet()
        try lab.greetClient()
    }

    /// Routes that lead everything, or one destination, to the uplink.
    package func injectRoutes(to destinations: [String]) throws(LabFailure) {
        try lab.node.ip(destinations.map { "route add \($0) via \(Self.nextHop(to: $0))" }.joined(separator: "\n"))
    }

    package func withdrawRoutes(to destinations: [String]) throws(LabFailure) {
        try lab.node.ip(destinations.map { "route del \($0)" }.joined(separator: "\n"))
    }

    /// A router on the uplink that says so of itself, and is believed.
    package func advertiseRouter() throws(LabFailure) {
        try lab.node.set("net/ipv6/conf/eth0/accept_ra", to: "2")
        let text = try lab.isp.run(["ip", "-6", "-o", "addr", "show", "dev", "node0", "scope", "link"])
        let words = text.split(whereSeparator: { $0 == " " || $0 == "/" })
        guard let own = words.first(where: { $0.hasPrefix("fe80:") }) else {
            throw LabFailure(couldNot: "advertise a router", because: "node0 has no address of its link: \(text)")
        }
        let packet = RawPacket.routerAdvertisement(from: String(own), to: lab.homeAddress.v6)
        try lab.isp.sendRaw([packet.octets], to: lab.homeAddress.v6)
    }

    package func forgetRouters() throws(LabFailure) {
        try lab.node.set("net/ipv6/conf/eth0/accept_ra", to: "0")
        try lab.node.run(["ip", "-6", "route", "flush", "proto", "ra"])
    }

    private static func nextHop(to destination: String) -> String {
        destination.contains(":") ? gateways.v6 : gateways.v4
    }
}

// MARK: What its observers see

extension LeakLab {
    /// The node's two tunnels as its uplink carries them.
    package func isEncapsulation(_ sighting: Sighting) -> Bool {
        guard sighting.transport == 17, sighting.source == lab.homeAddress.v4 else { return false }
        let isVPN = sighting.destination == lab.seenAddress.v4 && sighting.destinationPort == 51820
        let isTailnet = sighting.destination == lab.clientUnderlay && sighting.destinationPort == 41641
        return isVPN || isTailnet
    }

    /// The exit address is all that the VPN may learn of who sent it. Its server's masquerade writes its own into later
    /// fragments while they are looked at.
    package func isOfExit(_ sighting: Sighting) -> Bool {
        [lab.exitAddress.v4, lab.exitAddress.v6, lab.seenAddress.v4, lab.seenAddress.v6].contains(sighting.source)
    }
}
