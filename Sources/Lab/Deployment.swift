/// What people run today on the node of a lab: Gluetun's and Tailscale's rules at once, and by hand the few that let the
/// kernel forward among them. All in nftables through iptables, which can be taken away without a trace.
package struct Deployment {
    private let lab: any Lab
    private let gluetun: GluetunRules
    private let tailscale: TailscaleRules

    /// Puts the rules in place; the kernel forwards once it is told to, and these are the first that it meets.
    package init(on lab: any Lab) throws(LabFailure) {
        self.lab = lab
        let marked = "OUTPUT -m mark --mark \(TailscaleRules.bypass) -j ACCEPT"
        let postRules = "iptables -A \(marked)\nip6tables -A \(marked)"
        if let lab = lab as? WireGuardLab {
            (gluetun, tailscale) = try lab.layForeignRules(tailscale: .iptablesOverNFT, postRules: postRules)
        } else {
            // The edges of this lab need no uplink, Gluetun's rules name one.
            try lab.node.cable("eth0", to: lab.internet, "uplink0")
            try lab.node.ip(
                """
                addr add 192.0.2.2/30 dev eth0
                addr add 2001:db8:2::2/64 dev eth0
                """)
            let house = GluetunRules.House(
                addresses: .init(v4: "192.0.2.2", v6: "2001:db8:2::2"),
                networks: (v4: ["192.0.2.0/30"], v6: ["2001:db8:2::/64"]),
                gateways: .init(v4: "192.0.2.1", v6: "2001:db8:2::1"), endpoint: ("198.51.100.1", 51820),
                nextHops: .init(v4: "10.64.0.1", v6: "fd00:64::1"))
            // Neither set of rules lets an Ethernet edge find its neighbours, where a real one has none to find.
            let neighbours = ["INPUT", "OUTPUT"].map { "\nip6tables -A \($0) -p icmpv6 -j ACCEPT" }.joined()
            gluetun = try GluetunRules(on: lab.node, house, postRules: postRules + neighbours)
            tailscale = try TailscaleRules(
                on: lab.node, lab.nodeAddress, peer: lab.clientAddress, in: .iptablesOverNFT)
        }
        for (family, tailnet) in Self.tailnets {
            // Or rule 101 takes the answers to clients, and tailscaled's own packets, into the VPN.
            try lab.node.run(["ip", family, "rule", "add", "pref", "95", "to", tailnet, "lookup", "52"])
            try lab.node.run([
                "ip", family, "rule", "add", "pref", "96", "fwmark", TailscaleRules.bypass, "lookup", "main",
            ])
        }
    }

    /// Leaves the node as it was.
    package func takeAway() throws(LabFailure) {
        for (family, _) in Self.tailnets {
            for preference in ["95", "96"] { try lab.node.run(["ip", family, "rule", "del", "pref", preference]) }
        }
        try tailscale.takeAway()
        try gluetun.takeAway()
        try lab.node.nft("flush ruleset")
        if !(lab is WireGuardLab) { try lab.node.ip("link del eth0") }
    }

    private static let tailnets = [("-4", "100.64.0.0/10"), ("-6", "fd7a:115c:a1e0::/48")]
}
