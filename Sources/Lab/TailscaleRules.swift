/// Stands in for what tailscaled 1.96 puts beside `tailscale0`: rules, its table 52 and its chains. (Tailscale's
/// wgengine/router and util/linuxfw.)
package struct TailscaleRules: Sendable {
    /// What tailscaled has on its own sockets, lest they be routed into its tunnel.
    package static let bypass = "0x80000/0xff0000"

    private let host: LabHost
    private let filter: PacketFilter
    private let peer: DualStack

    /// Puts them in place for a node with these two addresses and one peer.
    package init(on host: LabHost, _ node: DualStack, peer: DualStack, in filter: PacketFilter) throws(LabFailure) {
        self.host = host
        self.filter = filter
        self.peer = peer
        try routeIntoTailnet()
        for family in ["-4", "-6"] {
            try host.run(
                ["ip", family, "-batch", "-"],
                input: """
                    rule add pref 5210 fwmark \(Self.bypass) lookup main
                    rule add pref 5230 fwmark \(Self.bypass) lookup default
                    rule add pref 5250 fwmark \(Self.bypass) unreachable
                    rule add pref 5270 lookup 52

                    """)
            let isV4 = family == "-4"
            if let program = filter.iptables(family) {
                try host.restore(
                    isV4 ? Self.rules(node.v4, only: Self.onlyV4, Self.spoofed) : Self.rules(node.v6), by: program)
            } else {
                try host.nft(
                    isV4 ? Self.table("ip", node.v4, only: Self.onlyV4NFT, Self.spoofedNFT) : Self.table("ip6", node.v6)
                )
            }
        }
    }

    /// As soon as `tailscale0` is up.
    package func routeIntoTailnet() throws(LabFailure) {
        for (family, peer, service) in [("-4", peer.v4, "100.100.100.100"), ("-6", peer.v6, "fd7a:115c:a1e0::53")] {
            let lines = [peer, service].map { "route add \($0) dev tailscale0 table 52\n" }
            try host.run(["ip", family, "-batch", "-"], input: lines.joined())
        }
    }

    package func takeAway() throws(LabFailure) {
        for family in ["-4", "-6"] {
            try host.run(
                ["ip", family, "-batch", "-"],
                input: """
                    rule del pref 5210
                    rule del pref 5230
                    rule del pref 5250
                    rule del pref 5270
                    route flush table 52

                    """)
            if let program = filter.iptables(family) {
                try host.clearIPTables(by: program)
            } else {
                for table in ["filter", "nat", "mangle"] {
                    try host.nft("delete table \(family == "-4" ? "ip" : "ip6") \(table)")
                }
            }
        }
    }

    // MARK: iptables

    private static let onlyV4 = """
        -A ts-input ! -i tailscale0 -s 100.115.92.0/23 -j RETURN
        -A ts-input ! -i tailscale0 -s 100.64.0.0/10 -j DROP
        """
    private static let spoofed = "-A ts-forward -o tailscale0 -s 100.64.0.0/10 -j DROP"

    private static func rules(_ own: String, only: String = "", _ spoofed: String = "") -> String {
        """
        *mangle
        -I PREROUTING -m conntrack --ctstate ESTABLISHED,RELATED -j CONNMARK --restore-mark --nfmask 0xff0000 --ctmask 0xff0000
        -I OUTPUT -m conntrack --ctstate NEW -m mark ! --mark 0x0/0xff0000 -j CONNMARK --save-mark --nfmask 0xff0000 --ctmask 0xff0000
        COMMIT
        *nat
        :ts-postrouting -
        -A ts-postrouting -m mark --mark 0x40000/0xff0000 -j MASQUERADE
        -I POSTROUTING -j ts-postrouting
        COMMIT
        *filter
        :ts-input -
        :ts-forward -
        -A ts-input -i lo -s \(own) -j ACCEPT
        \(only)
        -A ts-input -i tailscale0 -j ACCEPT
        -A ts-input -p udp --dport 41641 -j ACCEPT
        -A ts-forward -i tailscale0 -j MARK --set-mark 0x40000/0xff0000
        -A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
        \(spoofed)
        -A ts-forward -o tailscale0 -j ACCEPT
        -I INPUT -j ts-input
        -I FORWARD -j ts-forward
        COMMIT
        """
    }

    // MARK: nftables

    private static let onlyV4NFT = """
        iifname != "tailscale0" ip saddr 100.115.92.0/23 counter return
        iifname != "tailscale0" ip saddr 100.64.0.0/10 counter drop
        """
    private static let spoofedNFT = "oifname \"tailscale0\" ip saddr 100.64.0.0/10 counter drop"

    /// In tables that iptables-nft has by the same names: beside it, the chains stand in one table. tailscaled 1.96.5 writes
    /// its marks with their octets swapped, here as there.
    private static func table(_ family: String, _ own: String, only: String = "", _ spoofed: String = "") -> String {
        """
        table \(family) filter {
            chain ts-input {
                iifname "lo" \(family) saddr \(own) counter accept
                \(only)
                iifname "tailscale0" counter accept
                udp dport 41641 counter accept
            }
            chain ts-forward {
                iifname "tailscale0" counter meta mark set meta mark & 0xffff00ff | 0x400
                meta mark & 0xff00 == 0x400 counter accept
                \(spoofed)
                oifname "tailscale0" counter accept
            }
            chain INPUT { type filter hook input priority filter; }
            chain FORWARD { type filter hook forward priority filter; }
        }
        table \(family) nat {
            chain ts-postrouting { meta mark & 0xff00 == 0x400 counter masquerade; }
            chain POSTROUTING { type nat hook postrouting priority srcnat; }
        }
        table \(family) mangle {
            chain PREROUTING {
                type filter hook prerouting priority mangle;
                ct state established,related counter meta mark set ct mark & 0xff00
            }
            chain OUTPUT {
                type route hook output priority mangle;
                ct state new meta mark & 0xff00 != 0 counter ct mark set meta mark & 0xff00
            }
        }
        insert rule \(family) filter INPUT counter jump ts-input
        insert rule \(family) filter FORWARD counter jump ts-forward
        insert rule \(family) nat POSTROUTING counter jump ts-postrouting
        """
    }
}
