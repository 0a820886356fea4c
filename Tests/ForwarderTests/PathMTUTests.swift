import Lab
import Testing

/// How conversations find out what their path takes, beside the kernel's router.
@Suite(.serialized, .labCanBeBuilt) struct PathMTUTests {
    @Test("answers that are longer than the tailnet takes come in fragments", arguments: Router.allCases)
    func longAnswers(router: Router) throws {
        let lab = try PlainLab()
        try lab.setTailnetMTU(1280)
        let forwarder = try router.start(on: lab)
        for end in [lab.internetAddress.v4, lab.internetAddress.v6] {
            // The first may be lost to path-MTU discovery, where nobody on the way may cut.
            _ = try lab.client.ping(end, count: 1, size: 1400, upTo: 1)
            for size in [1231, 1253, 1400, 4000] {
                #expect(try lab.client.ping(end, count: 2, size: size, upTo: 2) == 2, "\(size) to \(end)")
            }
        }
        withExtendedLifetime(forwarder) {}
    }

    @Test("TCP finds the path's MTU where the VPN or the tailnet takes less", arguments: Router.allCases)
    func pathMTU(router: Router) throws {
        let lab = try PlainLab()
        // Up, our clamp or the kernel's error says so; down, only an error can: the client announces too much.
        try lab.node.ip("link set tun0 mtu 1400")
        try lab.setTailnetMTU(1300)
        let forwarder = try router.start(on: lab)
        for direction in Transfer.Direction.allCases {
            for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
                let transfer = try Transfer(
                    direction, bytes: 2_000_001, client: lab.client, server: lab.internet, at: address)
                #expect(transfer.isIntact && transfer.bytes == 2_000_001)
                #expect(transfer.seconds < 3, "\(direction) \(address)")
            }
        }
        if let forwarder {
            #expect(try forwarder.answered("packet_too_big") >= 2)
        }
    }

    @Test("a sender who hears no errors finds the way by probing", arguments: Router.allCases)
    func blackHole(router: Router) throws {
        let lab = try PlainLab()
        try lab.setTailnetMTU(1300)
        try lab.internet.set("net/ipv4/tcp_mtu_probing", to: "1")
        // After so many losses it begins to probe; three, the default, take seconds.
        try lab.internet.set("net/ipv4/tcp_retries1", to: "1")
        try lab.internet.nft(
            """
            table inet deaf {
                chain input {
                    type filter hook input priority 0;
                    icmp type destination-unreachable drop
                    icmpv6 type packet-too-big drop
                }
            }
            """)
        let forwarder = try router.start(on: lab)
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            let transfer = try Transfer(
                .download, bytes: 100_001, client: lab.client, server: lab.internet, at: address)
            #expect(transfer.isIntact && transfer.bytes == 100_001)
        }
        withExtendedLifetime(forwarder) {}
    }

    // MARK: A hop behind the VPN

    /// What a router does about a packet that its next link does not take.
    enum NarrowHop: CaseIterable, Sendable {
        case says, isSilent
    }

    @Test("an upload finds the MTU of a hop behind the VPN, which says so or is silent", arguments: NarrowHop.allCases)
    func narrowHop(hop: NarrowHop) throws {
        let sites = try Router.allCases.map { router in
            let lab = try WireGuardLab()
            try lab.narrow(to: 1300, hop)
            return try Site(router, on: lab)
        }
        for isV4 in [true, false] {
            let seconds = try interleave(sites, rounds: 5) { site, _ in
                let lab = site.lab
                try lab.client.forgetPaths()
                let transfer = try Transfer(
                    .upload, bytes: 500_001, client: lab.client, server: lab.internet,
                    at: isV4 ? lab.internetAddress.v4 : lab.internetAddress.v6)
                #expect(transfer.isIntact && transfer.bytes == 500_001)
                return transfer.seconds
            }
            let spreads = seconds.map(Spread.init)
            for (site, spread) in zip(sites, spreads) {
                print("upload, the hop \(hop), IPv\(isV4 ? 4 : 6), \(site.router), s: \(spread)")
                // Twice as long would be a retransmission more than the kernel's.
                #expect(spread.ratio(to: spreads[0]) < 2)
            }
        }
    }
}

extension PlainLab {
    /// Both ends of the tailnet's link; the client nevertheless announces segments as if it were longer.
    fileprivate func setTailnetMTU(_ mtu: Int) throws {
        try node.ip("link set tailscale0 mtu \(mtu)")
        try client.ip(
            """
            link set eth0 mtu \(mtu)
            route change default via \(nodeAddress.v4) advmss 1460
            route change default via \(nodeAddress.v6) advmss 1440
            """)
    }
}

extension WireGuardLab {
    /// The link to the internet takes less than the VPN and the tailnet do. The internet nevertheless announces segments as
    /// if it did not, and the client probes when nothing comes back.
    fileprivate func narrow(to mtu: Int, _ hop: PathMTUTests.NarrowHop) throws {
        try isp.ip("link set internet0 mtu \(mtu)")
        try internet.ip(
            """
            link set eth0 mtu \(mtu)
            route change default via 203.0.113.9 advmss 1460
            route change default via 2001:db8:113::9 advmss 1440
            """)
        for host in [client, node] { try host.ip("link set tailscale0 mtu 1420") }
        try client.set("net/ipv4/tcp_mtu_probing", to: "1")
        try client.set("net/ipv4/tcp_retries1", to: "1")
        guard hop == .isSilent else { return }
        try isp.nft(
            """
            table inet mute {
                chain output {
                    type filter hook output priority 0;
                    icmp type destination-unreachable drop
                    icmpv6 type packet-too-big drop
                }
            }
            """)
    }
}

extension LabHost {
    /// What it learned of MTUs and of earlier connections.
    fileprivate func forgetPaths() throws {
        try run(["ip", "-4", "route", "flush", "cache"])
        try run(["ip", "-6", "route", "flush", "cache"])
        try run(["ip", "tcp_metrics", "flush"])
    }
}
