import Lab
import Testing

/// Our manners as a router beside the kernel's, in the same lab: what people find out with traceroute, tracepath and ping,
/// and what their datagrams rely on.
@Suite(.serialized, .labCanBeBuilt) struct RouterTests {
    // MARK: Hops

    @Test(
        "traceroute by UDP, ICMP and TCP sees the node, each hop behind it and the end", arguments: Router.allCases,
        LabKind.allCases)
    func traceroute(router: Router, kind: LabKind) throws {
        let lab = try kind.make()
        let forwarder = try router.start(on: lab)
        let edge = kind == .plain ? "eth0" : lab.tailnetEdge
        for path in lab.paths {
            for method in [[], ["-I"], ["-T", "-p", "9"]] {
                let told = try lab.client.traceroute(path.last!, by: method, through: edge)
                let hops = told.split(separator: "\n").dropFirst().map { $0.split(separator: " ").prefix(2) }
                #expect(hops == path.enumerated().map { ["\($0 + 1)", $1[...]] }, "\(method): \(told)")
            }
        }
        withExtendedLifetime(forwarder) {}
    }

    @Test("tracepath finds the hops and the MTU of the VPN", arguments: Router.allCases, LabKind.allCases)
    func tracepath(router: Router, kind: LabKind) throws {
        let lab = try kind.make()
        try lab.setVPNMTU(1400)
        let forwarder = try router.start(on: lab)
        for path in lab.paths {
            let told = try lab.client.run(["tracepath", "-n", "-m", "6", path.last!])
            for hop in path { #expect(told.contains(" \(hop) "), "\(told)") }
            #expect(told.contains("Resume: pmtu 1400 hops \(path.count)"), "\(told)")
        }
        withExtendedLifetime(forwarder) {}
    }

    // MARK: Length

    @Test(
        "ping that may not be cut passes at each size up to the VPN's MTU and is told it beyond",
        arguments: Router.allCases, LabKind.allCases)
    func pingToTheOctet(router: Router, kind: LabKind) throws {
        let lab = try kind.make()
        try lab.setVPNMTU(1400)
        let forwarder = try router.start(on: lab)
        for (path, headers) in zip(lab.paths, [28, 48]) {
            for size in [headers, headers + 1, 128, 576, 1280, 1281, 1399, 1400] {
                let whole = try lab.client.unfragmentedPing(path.last!, size: size - headers)
                #expect(whole.contains("2 received"), "\(size): \(whole)")
            }
            let told = try lab.client.unfragmentedPing(path.last!, size: 1401 - headers)
            #expect(told.contains("0 received") && told.contains(path[0]), "\(told)")
            #expect(told.contains("mtu = 1400") || told.contains("mtu=1400"), "\(told)")
        }
        withExtendedLifetime(forwarder) {}
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
            let out = RawPacket(from: client, 5000, to: internet, 7, payload, identification: 0x4242)
            try lab.client.sendRaw(out.fragments(of: 1200).reversed(), to: internet)
            #expect(mailbox.receive() == payload, "out, \(client)")

            try mailbox.send(Array("who".utf8), to: internet, port: 7)
            let seen = String(decoding: try #require(mailbox.receive()), as: UTF8.self)
            let port = try #require(seen.split(separator: ":").last.flatMap { UInt16($0) })
            let back = RawPacket(from: internet, 7, to: exit, port, payload, identification: 0x4343)
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
}

extension LabHost {
    /// What ping says of two echo requests that nobody may cut.
    fileprivate func unfragmentedPing(_ address: String, size: Int) throws -> String {
        let child = try start(
            ["ping", "-n", "-M", "do", "-c", "2", "-i", "0.1", "-W", "1", "-s", "\(size)", address])
        _ = child.wait(upTo: .seconds(5))
        return child.standardOutput + child.standardError
    }
}
