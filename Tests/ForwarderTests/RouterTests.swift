import Foundation
import Lab
import LinuxSystem
import Testing

/// Our manners as a router beside the kernel's, in the same lab: what people find out with traceroute, tracepath and ping,
/// and what their connections rely on without knowing.
@Suite(.serialized, .labCanBeBuilt) struct RouterTests {
    /// Who stands between the edges.
    enum Router: String, CaseIterable, Sendable {
        case kernel, uring, poll

        static let ours: [Router] = [.uring, .poll]

        /// Nothing for the kernel, which needs no process.
        func start(on lab: any Lab) throws -> ForwarderProcess? {
            guard self == .kernel else {
                return try ForwarderProcess(Binary.path.path, on: lab, ["--io", rawValue])
            }
            try lab.enableKernelRouting()
            return nil
        }
    }

    // MARK: Hops

    @Test("traceroute by UDP, ICMP and TCP sees the node's address and then the end", arguments: Router.allCases)
    func traceroute(router: Router) throws {
        let lab = try PlainLab()
        let forwarder = try router.start(on: lab)
        for (node, end) in [
            (lab.nodeAddress.v4, lab.internetAddress.v4), (lab.nodeAddress.v6, lab.internetAddress.v6),
        ] {
            for method in [[], ["-I"], ["-T", "-p", "9"]] {
                let path = try lab.client.run(
                    ["traceroute", "-n", "-q", "1", "-w", "2", "-m", "4"] + method + [end])
                let hops = path.split(separator: "\n").dropFirst().map { $0.split(separator: " ").prefix(2) }
                #expect(hops == [["1", node[...]], ["2", end[...]]], "\(method): \(path)")
            }
        }
        withExtendedLifetime(forwarder) {}
    }

    @Test("tracepath finds the hops and the MTU of the VPN", arguments: Router.allCases)
    func tracepath(router: Router) throws {
        let lab = try PlainLab()
        try lab.setVPNMTU(1400)
        let forwarder = try router.start(on: lab)
        for (node, end) in [
            (lab.nodeAddress.v4, lab.internetAddress.v4), (lab.nodeAddress.v6, lab.internetAddress.v6),
        ] {
            let path = try lab.client.run(["tracepath", "-n", "-m", "4", end])
            #expect(path.contains(node) && path.contains(end), "\(path)")
            #expect(path.contains("Resume: pmtu 1400 hops 2"), "\(path)")
        }
        withExtendedLifetime(forwarder) {}
    }

    // MARK: Length

    @Test("ping that may not be cut passes up to the VPN's MTU and is told it beyond", arguments: Router.allCases)
    func pingToTheOctet(router: Router) throws {
        let lab = try PlainLab()
        try lab.setVPNMTU(1400)
        let forwarder = try router.start(on: lab)
        for (node, end, headers) in [
            (lab.nodeAddress.v4, lab.internetAddress.v4, 28), (lab.nodeAddress.v6, lab.internetAddress.v6, 48),
        ] {
            for size in [1399, 1400] {
                let whole = try lab.client.unfragmentedPing(end, size: size - headers)
                #expect(whole.contains("2 received"), "\(size): \(whole)")
            }
            let told = try lab.client.unfragmentedPing(end, size: 1401 - headers)
            #expect(told.contains("0 received") && told.contains(node), "\(told)")
            #expect(told.contains("mtu = 1400") || told.contains("mtu=1400"), "\(told)")
        }
        withExtendedLifetime(forwarder) {}
    }

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

    @Test("a sender who hears no errors finds the way by probing", arguments: [Router.kernel, .uring])
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

    // MARK: No way

    @Test("where the VPN has no IPv6, a client learns it within a tenth of a second", arguments: Router.ours)
    func happyEyeballs(router: Router) throws {
        let lab = try PlainLab()
        try lab.node.run(["ip", "-6", "addr", "flush", "dev", "tun0"])
        let forwarder = try router.start(on: lab)
        let client = EchoClient(on: lab.client, to: lab.internetAddress.v6)
        let start = ContinuousClock.now
        let failure = #expect(throws: LabFailure.self) { try client.endpointSeenOverTCP() }
        #expect(ContinuousClock.now - start < .milliseconds(100))
        #expect(failure.map { "\($0)".contains("unreachable") } == true, "\(String(describing: failure))")
        #expect(try forwarder?.answered("no_route") == 1)
    }

    // MARK: Fragments

    @Test("a datagram in fragments arrives in whatever order they come, both ways", arguments: Router.ours)
    func unorderedFragments(router: Router) throws {
        let lab = try PlainLab()
        let forwarder = try router.start(on: lab)
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        for (client, internet, exit) in [
            (lab.clientAddress.v4, lab.internetAddress.v4, lab.exitAddress.v4),
            (lab.clientAddress.v6, lab.internetAddress.v6, lab.exitAddress.v6),
        ] {
            let mailbox = try Mailbox(on: lab.client, at: client, port: 5000)
            let payload = (0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let out = RawDatagram(from: client, 5000, to: internet, 7, payload, identification: 0x4242)
            try lab.client.sendRaw(out.fragments(of: 1200).reversed(), to: internet)
            #expect(mailbox.receive() == payload, "out, \(client)")

            try mailbox.send(Array("who".utf8), to: internet, port: 7)
            let seen = String(decoding: try #require(mailbox.receive()), as: UTF8.self)
            let port = try #require(seen.split(separator: ":").last.flatMap { UInt16($0) })
            let back = RawDatagram(from: internet, 7, to: exit, port, payload, identification: 0x4343)
            try lab.internet.sendRaw(back.fragments(of: 1200).reversed(), to: exit)
            #expect(mailbox.receive() == payload, "back, \(client)")
        }
        withExtendedLifetime((echo, forwarder)) {}
    }

    // MARK: Clients among themselves

    @Test("two sockets behind the exit address reach each other by it", arguments: Router.ours)
    func hairpin(router: Router) throws {
        let lab = try PlainLab()
        let forwarder = try router.start(on: lab)
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        for (client, internet, exit) in [
            (lab.clientAddress.v4, lab.internetAddress.v4, lab.exitAddress.v4),
            (lab.clientAddress.v6, lab.internetAddress.v6, lab.exitAddress.v6),
        ] {
            let (anna, bela) = (
                try Mailbox(on: lab.client, at: client, port: 5000), try Mailbox(on: lab.client, at: client, port: 6000)
            )
            func outsidePort(of mailbox: Mailbox) throws -> UInt16 {
                try mailbox.send(Array("who".utf8), to: internet, port: 7)
                let seen = String(decoding: try #require(mailbox.receive()), as: UTF8.self)
                return try #require(seen.split(separator: ":").last.flatMap { UInt16($0) })
            }
            let (annas, belas) = (try outsidePort(of: anna), try outsidePort(of: bela))
            // The first only opens the way for the other's.
            try anna.send([1], to: exit, port: belas)
            #expect(bela.receive(upTo: 100) == nil)
            try bela.send([2], to: exit, port: annas)
            #expect(anna.receive() == [2])
            try anna.send([3], to: exit, port: belas)
            #expect(bela.receive() == [3])
        }
        let status = try #require(try forwarder?.status())
        #expect(status.forwarded.hairpin.packets == 4)
        #expect(status.drops["no_flow"] == 2)
        withExtendedLifetime(echo) {}
    }

    // MARK: How many errors

    @Test("a flood of expiring packets is answered no more often than by the kernel")
    func limits() throws {
        var answers: [Router: (one: Int, all: Int, seconds: Double)] = [:]
        for router in Router.allCases {
            let lab = try PlainLab()
            // Five hundred clients in one: it answers for all of their addresses.
            try lab.client.ip("route add local 100.65.0.0/16 dev lo")
            try lab.node.ip("route add 100.65.0.0/16 dev tailscale0")
            let forwarder = try router.start(on: lab)
            let one = try lab.client.flood([lab.clientAddress.v4], each: 1000, to: lab)
            sleep(1)
            let clients = (0..<500).map { "100.65.\($0 / 250).\($0 % 250 + 1)" }
            // Their neighbour entries first, or the kernel would ask for each while it ought to answer.
            for client in clients.prefix(1) { _ = try lab.client.flood([client], each: 1, to: lab) }
            let all = try lab.client.flood(clients, each: 4, to: lab)
            answers[router] = (one.answers, all.answers, all.seconds)
            withExtendedLifetime(forwarder) {}
        }
        print("answers to 1000 expiring packets of one client, to 2000 of 500, in seconds: \(answers)")
        let kernel = try #require(answers[.kernel])
        for router in Router.ours {
            let ours = try #require(answers[router])
            // One a second beside the first six.
            #expect((6...max(8, kernel.one + 1)).contains(ours.one))
            #expect(ours.all > 50 && Double(ours.all) <= 50 + 1000 * (ours.seconds + 0.1))
        }
    }
}

// MARK: What the lab is asked

extension PlainLab {
    /// Both ends of the VPN's link know it, as both ends of a tunnel do.
    fileprivate func setVPNMTU(_ mtu: Int) throws {
        try node.ip("link set tun0 mtu \(mtu)")
        try internet.ip("link set eth0 mtu \(mtu)")
    }

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

extension LabHost {
    /// What ping says of two echo requests that nobody may cut.
    fileprivate func unfragmentedPing(_ address: String, size: Int) throws -> String {
        let child = try start(
            ["ping", "-n", "-M", "do", "-c", "2", "-i", "0.1", "-W", "1", "-s", "\(size)", address])
        _ = child.wait(upTo: .seconds(5))
        return child.standardOutput + child.standardError
    }

    /// Sends packets with a hop limit of one as fast as it can, and counts the errors that come back.
    fileprivate func flood(
        _ clients: [String], each count: Int, to lab: PlainLab
    ) throws -> (answers: Int, seconds: Double) {
        let observer = try Observer(on: self, interface: "eth0")
        let packets = clients.flatMap { client in
            [[UInt8]](
                repeating: RawDatagram(from: client, 5000, to: lab.internetAddress.v4, 7, [], hopLimit: 1).octets,
                count: count)
        }
        let start = ContinuousClock.now
        try sendRaw(packets, to: lab.internetAddress.v4)
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        usleep(300_000)
        let answers = observer.stop().packets { $0.transport == 1 && $0.controlType == 11 }
        return (answers, elapsed)
    }
}

extension ForwarderProcess {
    /// ICMP errors of a kind that it has sent.
    fileprivate func answered(_ kind: String) throws -> UInt64 { try status().errors.sent[kind] ?? 0 }
}
