/// Stands in for what Gluetun 3.41 puts around `tun0`: rules 98 to 101 with their tables, and a firewall that drops what it
/// does not know. (Gluetun's internal/routing, internal/wireguard and internal/firewall.)
package struct GluetunRules: Sendable {
    /// WireGuard's own packets bear it, and it is the tunnel's table: rule 101 compares all 32 bits.
    package static let mark = 51820

    /// What Gluetun finds out of the namespace before it begins.
    package struct House: Sendable {
        /// On the uplink, `eth0`: the addresses there, the networks that they are of, and the gateways.
        let addresses: DualStack
        let networks: (v4: [String], v6: [String])
        let gateways: DualStack
        /// The VPN's.
        let endpoint: (address: String, port: Int)
        /// On the VPN, where the tunnel is Ethernet.
        var nextHops: DualStack?
    }

    private let host: LabHost
    private let house: House
    private let filter: PacketFilter
    private let postRules: String

    /// Puts them in place.
    ///
    /// - Parameters:
    ///   - filter: nftables through iptables, as Gluetun's image has it, or the old one.
    ///   - postRules: what the person gives it as `/iptables/post-rules.txt`.
    package init(
        on host: LabHost, _ house: House, in filter: PacketFilter = .iptablesOverNFT, postRules: String = ""
    ) throws(LabFailure) {
        self.host = host
        self.house = house
        self.filter = filter
        self.postRules = postRules
        try layRules()
        try routeByUplink()
        try routeIntoTunnel()
        try layFirewall()
    }

    package func takeAway() throws(LabFailure) {
        try loseTunnel()
        for family in families {
            try ip(
                family,
                """
                rule del pref 100
                route flush table 199
                route flush table 200
                """)
            for network in networks(family) { try ip(family, "rule del pref 98 to \(network)") }
            if let program = filter.iptables(family) { try host.clearIPTables(by: program) }
        }
    }

    // MARK: Routing

    private var families: [String] { ["-4", "-6"] }
    private func of(_ pair: DualStack, _ family: String) -> String { family == "-4" ? pair.v4 : pair.v6 }
    private func networks(_ family: String) -> [String] { family == "-4" ? house.networks.v4 : house.networks.v6 }
    private func ip(_ family: String, _ lines: String) throws(LabFailure) {
        try host.run(["ip", family, "-batch", "-"], input: lines + "\n")
    }

    private func layRules() throws(LabFailure) {
        for family in families {
            for network in networks(family) { try ip(family, "rule add pref 98 to \(network) lookup main") }
            try ip(family, "rule add pref 100 from \(of(house.addresses, family)) lookup 200")
        }
    }

    /// As soon as the uplink is up.
    package func routeByUplink() throws(LabFailure) {
        for family in families {
            try ip(family, "route add default via \(of(house.gateways, family)) dev eth0 table 200")
        }
    }

    /// What the person names as `FIREWALL_OUTBOUND_SUBNETS`, one of each family.
    package func addOutboundSubnets(_ subnets: DualStack) throws(LabFailure) {
        for family in families {
            let subnet = of(subnets, family)
            try ip(
                family,
                """
                rule add pref 99 to \(subnet) lookup 199
                route add \(subnet) via \(of(house.gateways, family)) dev eth0 table 199
                """)
            if let program = filter.iptables(family) {
                let own = of(house.addresses, family)
                try host.run([program, "-A", "OUTPUT", "-o", "eth0", "-s", own, "-d", subnet, "-j", "ACCEPT"])
            }
        }
    }

    /// As soon as `tun0` is up.
    package func routeIntoTunnel() throws(LabFailure) {
        for family in families {
            let hop = house.nextHops.map { "via \(of($0, family)) " } ?? ""
            try ip(
                family,
                """
                route add default \(hop)dev tun0 table \(Self.mark)
                rule add pref 101 not fwmark \(Self.mark) lookup \(Self.mark)
                """)
        }
    }

    /// What is left of the tunnel's routing when Gluetun ends it.
    package func loseTunnel() throws(LabFailure) {
        for family in families {
            try ip(family, "rule del pref 101\nroute flush table \(Self.mark)")
        }
    }

    // MARK: The firewall

    /// Lays it on an empty ruleset, with what the person gave it.
    package func layFirewall() throws(LabFailure) {
        for family in families {
            guard let program = filter.iptables(family) else { continue }
            let own = of(house.addresses, family)
            let local = networks(family).map { network in
                """
                -A OUTPUT -o eth0 -s \(own) -d \(network) -j ACCEPT
                -A INPUT -i eth0 -d \(network) -j ACCEPT
                """
            }
            let multicast = family == "-6" ? "-A OUTPUT -o eth0 -d ff02::1:ff00:0/104 -j ACCEPT" : ""
            try host.restore(
                """
                *filter
                :INPUT DROP
                :OUTPUT DROP
                :FORWARD DROP
                -A INPUT -i lo -j ACCEPT
                -A OUTPUT -o lo -j ACCEPT
                -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
                -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
                \(local.joined(separator: "\n"))
                \(multicast)
                COMMIT
                """, by: program)
            let to = house.endpoint
            let encapsulation = "-A OUTPUT -d \(to.address) -o eth0 -p udp -m udp --dport \(to.port) -j ACCEPT\n"
            try host.restore(
                """
                *filter
                \(to.address.contains(":") == (family == "-6") ? encapsulation : "")-A OUTPUT -o tun0 -j ACCEPT
                COMMIT
                """, by: program)
        }
        try obey(postRules)
    }

    /// What the person wrote for it, line by line. What does not begin with iptables is passed over, as Gluetun does.
    package func obey(_ postRules: String) throws(LabFailure) {
        for line in postRules.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard let name = words.first, let family = ["iptables": "-4", "ip6tables": "-6"][name],
                let program = filter.iptables(family)
            else { continue }
            try host.run([program] + words.dropFirst())
        }
    }

    /// Its firewall fails and opens: every rule of everybody in nftables is gone, and so are those that it had itself.
    package func flushRuleset() throws(LabFailure) {
        try host.nft("flush ruleset")
        if filter == .legacy { for family in families { try host.clearIPTables(by: filter.iptables(family) ?? "") } }
    }
}
