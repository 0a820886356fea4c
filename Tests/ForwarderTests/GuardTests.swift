import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// The guard on the uplink, and what goes with it: the control plane's table, the return path, all of it without a node, too.
@Suite(.serialized, .labCanBeBuilt) struct GuardTests {
    private let lab: WireGuardLab

    init() throws { lab = try WireGuardLab() }

    private func forwarder(_ arguments: String...) throws -> String { try lab.node.run([Binary.path.path] + arguments) }

    private func run(_ arguments: String...) throws -> ForwarderProcess {
        try ForwarderProcess(Binary.path.path, on: lab, arguments)
    }

    /// What a process of the node's says to the internet by UDP, and whether it arrives.
    private func arrives(mark: UInt32 = 0, isIPv6: Bool = false, port: UInt16 = 7000) throws -> Bool {
        let (address, family) = isIPv6 ? (lab.internetAddress.v6, "AF_INET6") : (lab.internetAddress.v4, "AF_INET")
        let mailbox = try Mailbox(on: lab.internet, at: address, port: port)
        let script = """
            import socket
            one = socket.socket(socket.\(family), socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, \(mark))
            try:
                one.sendto(b"said", ("\(address)", \(port)))
            except OSError:
                pass
            """
        try lab.node.run(["python3", "-c", script])
        return mailbox.receive(upTo: 300) == Array("said".utf8)
    }

    private func report(_ node: ForwarderProcess) throws -> StatusReport {
        try StatusReport(json: Data(node.ask(["status", "--json"]).utf8))
    }

    private func refused(_ status: StatusReport) -> UInt64 { status.guard?.refused["unmarked"]?.packets ?? 0 }

    // MARK: Alone

    @Test("guard closes the uplink before anything else is there, outlives itself, and down opens it")
    func alone() throws {
        try lab.node.ip("link del tailscale0")
        lab.cutVPNTunnel()
        #expect(try arrives() && arrives(isIPv6: true), "the control: nobody guards")

        let told = try GuardReport(json: Data(forwarder("guard", "--json").utf8))
        #expect(told.interfaces == ["eth0"])
        #expect(try !arrives() && !arrives(isIPv6: true))
        #expect(try arrives(mark: 0x80000) && arrives(mark: 0x80000, isIPv6: true), "the control plane goes on")
        #expect(try !arrives(mark: 0x80000, port: 53), "but not a client's lookup")
        #expect(try forwarder("guard").hasPrefix("guarded: eth0"), "a second time changes nothing")
        #expect(try !arrives())

        // A node that waits takes it over.
        let node = try lab.node.start([Binary.path.path, "run"], capabilities: [.netAdmin, .bpf])
        try eventually { node.standardError.contains("waiting for") }
        #expect(try !arrives())
        #expect(try arrives(mark: 0x80000))
        node.signal(SIGKILL)
        _ = node.wait(upTo: .seconds(5))
        #expect(try !arrives(), "after kill -9")

        _ = try forwarder("down")
        #expect(try arrives() && arrives(isIPv6: true))
        // 2: there is no such table.
        for question in ["ip route show table 51", "ip -6 route show table 51", "ip route show table 51820"] {
            #expect(try lab.node.run(["sh", "-c", "\(question) 2>/dev/null || [ $? = 2 ]"]) == "", "\(question)")
        }
        #expect(try !lab.node.run(["ip", "rule"]).contains("proto 240"))
        #expect(try !lab.node.run(["tc", "qdisc", "show", "dev", "eth0"]).contains("clsact"))
    }

    @Test("a default route that changes its next hop, also from none and to none, is the one in table 51, and no other")
    func replacedRoute() throws {
        for (told, kept) in [
            ("default dev eth0", "default dev eth0 "), ("default via 192.0.2.1 dev eth0", "default via 192.0.2.1 "),
            ("default via 198.51.100.9 dev eth0 onlink", "default via 198.51.100.9 "),
            ("default dev eth0", "default dev eth0 "),
        ] {
            try lab.node.run(["ip", "route", "replace"] + told.split(separator: " ").map(String.init))
            _ = try forwarder("guard")
            let table = try lab.node.run(["ip", "route", "show", "table", "51"]).split(separator: "\n")
            let defaults = table.filter { $0.hasPrefix("default") }
            #expect(defaults.count == 1 && defaults[0].hasPrefix(kept), "\(told): \(table)")
        }
    }

    @Test("an interface is an uplink by a default route of any table, and where there is none by a route to a next hop")
    func wayOut() throws {
        let gateways = [("-4", "192.0.2.1"), ("-6", "2001:db8:2::1")]
        for (family, gateway) in gateways {
            try lab.node.run(["ip", family, "route", "del", "default"])
            try lab.node.run(["ip", family, "route", "add", "default", "via", gateway, "table", "100"])
        }
        #expect(try forwarder("guard").hasPrefix("guarded: eth0"))
        _ = try forwarder("down")
        for (family, _) in gateways {
            try lab.node.run(["ip", family, "route", "del", "default", "table", "100"])
            try lab.node.run(["ip", family, "route", "add", "default", "dev", "tun0"])
        }
        // As OpenVPN's `redirect-gateway` leaves it.
        try lab.node.ip("route add 198.51.100.1 via 192.0.2.1\nroute add \(lab.internetAddress.v4) via 192.0.2.1")
        #expect(try arrives(), "the control: nobody guards")
        #expect(try forwarder("guard").hasPrefix("guarded: eth0"))
        #expect(try !arrives())
    }

    @Test("where an old ingress qdisc leaves no egress to guard, it is refused with the command that ends that")
    func ingressQdisc() throws {
        try lab.node.run(["tc", "qdisc", "add", "dev", "eth0", "ingress"])
        for verb in ["guard", "run"] {
            let child = try lab.node.start([Binary.path.path, verb])
            #expect(child.wait(upTo: .seconds(10)).map { "\($0)" }?.contains("69") == true, "\(child.standardError)")
            #expect(child.standardError.contains("tc qdisc delete dev eth0 ingress"), "\(child.standardError)")
            #expect(try !lab.node.run(["ip", "rule"]).contains("proto 240"), "nothing is left")
            #expect(try lab.node.run(["tc", "filter", "show", "dev", "eth0", "ingress"]) == "")
        }
        try lab.node.run(["tc", "qdisc", "delete", "dev", "eth0", "ingress"])
        #expect(try forwarder("guard").hasPrefix("guarded: eth0"))
    }

    @Test("guards that begin at once do not undo each other, and each that says so has closed the host")
    func atOnce() throws {
        for _ in 0..<12 {
            let guards = try (0..<3).map { _ in try lab.node.start([Binary.path.path, "guard"]) }
            for child in guards { #expect(child.wait(upTo: .seconds(20)) == .exited(0), "\(child.standardError)") }
            #expect(try lab.node.run(["tc", "filter", "show", "dev", "eth0", "egress"]).contains("guard_egress"))
            for family in ["-4", "-6"] {
                let rules = try lab.node.run(["ip", family, "rule"]).components(separatedBy: "proto 240").count - 1
                #expect(rules >= 8, "\(rules)")
            }
            _ = try forwarder("down")
        }
    }

    @Test("an interface with a port's name is taken for no node")
    func nameTaken() throws {
        try lab.node.ip("link add fwd-in type veth peer name other")
        let child = try lab.node.start([Binary.path.path, "guard"])
        #expect(child.wait(upTo: .seconds(10)) == .exited(69), "\(child.standardError)")
        #expect(child.standardError.contains("if none runs: ip link delete fwd-in"), "\(child.standardError)")
        try lab.node.ip("link del fwd-in")
        #expect(try forwarder("guard").hasPrefix("guarded: eth0"))
    }

    @Test("without an uplink guard says so, and the rules hold already")
    func noUplink() throws {
        try lab.node.ip("link del eth0")
        let child = try lab.node.start([Binary.path.path, "guard"])
        let ending = child.wait(upTo: .seconds(10))
        #expect("\(ending as Any)".contains("69"), "\(ending as Any)")
        #expect(child.standardError.contains("the rules of the host hold already"), "\(child.standardError)")
        #expect(try lab.node.run(["ip", "rule"]).contains("iif tailscale0 unreachable"))
    }

    // MARK: Beside a node

    @Test("a node refuses what is unmarked and counts it, by class and by reason, and stays closed when it is killed")
    func besideANode() throws {
        #expect(try arrives(), "the control: nobody guards")
        let node = try run()
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 2) == 2)
        #expect(try lab.client.ping(lab.internetAddress.v6, count: 2) == 2)
        #expect(
            try forwarder("guard").hasPrefix("guarded: eth0"), "for the first step of somebody who starts beside it")
        let before = refused(try report(node))
        #expect(try !arrives() && !arrives(isIPv6: true))
        let status = try report(node)
        #expect(refused(status) == before + 2)
        #expect(status.guard?.mode == .on && status.guard?.interfaces == ["eth0"])
        #expect(status.guard?.leaked == .init())
        let counted = try #require(status.egress["eth0"])
        #expect(counted["encapsulation"]?.packets ?? 0 >= 4)
        #expect(counted["control"]?.packets ?? 0 >= 4, "the tailnet's own tunnel")
        #expect(counted["client"]?.packets == 0)
        #expect(status.egress["tun0"]?["client"]?.packets ?? 0 >= 4)

        node.child.signal(SIGKILL)
        _ = node.child.wait(upTo: .seconds(5))
        #expect(try !arrives() && !arrives(isIPv6: true))
        let next = try run()
        #expect(try !arrives())
        next.stop()
        #expect(try !arrives(), "after SIGTERM")
    }

    @Test("a guard that observes lets pass, and its leak counter rises")
    func observing() throws {
        let node = try run("--guard", "observe")
        #expect(try report(node).guard?.leaked.packets == 0)
        #expect(try arrives() && arrives(isIPv6: true))
        let seen = try #require(try report(node).guard)
        #expect(seen.mode == .observe && seen.leaked.packets == 2 && seen.leaked.bytes > 2 * 42)
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1) == 1)
    }

    @Test("services that are allowed answer whoever asks by the uplink; others do not")
    func allowed() throws {
        let server = try lab.node.start([
            "python3", "-c",
            """
            import socket, threading
            def serve(port):
                one = socket.create_server(("", port))
                while True: one.accept()[0].sendall(b"welcome")
            for port in (2222, 3333): threading.Thread(target=serve, args=(port,)).start()
            """,
        ])
        func answers(_ port: Int) throws -> Bool {
            let child = try lab.internet.start([
                "python3", "-c",
                "import socket; print(socket.create_connection((\"\(lab.homeAddress.v4)\", \(port)), 1).recv(7))",
            ])
            return child.wait(upTo: .seconds(5))?.isSuccess == true
        }
        try eventually { try answers(2222) && answers(3333) }
        let node = try run("--allow", "tcp/2222")
        #expect(try answers(2222))
        #expect(try !answers(3333))
        #expect(try report(node).egress["eth0"]?["management"]?.packets ?? 0 > 0)
        withExtendedLifetime(server) {}
    }

    // MARK: The control plane's table

    @Test("table 51 is what the main table says of the uplink, also after a bounce, a new gateway and a new uplink")
    func table() throws {
        let node = try run()
        func table(_ family: String) throws -> Set<String> {
            let lines = try lab.node.run(["ip", family, "route", "show", "table", "51"]).split(separator: "\n")
            return Set(lines.map { $0.split(separator: " ").prefix(3).joined(separator: " ") })
        }
        #expect(try table("-4") == ["default via 192.0.2.1", "192.0.2.0/30 dev eth0", "unreachable default proto"])
        #expect(try table("-6").isSuperset(of: ["default via 2001:db8:2::1", "2001:db8:2::/64 dev eth0"]))
        #expect(try arrives(mark: 0x80000))

        try lab.node.ip("link set eth0 down")
        try eventually { try table("-4") == ["unreachable default proto"] }
        #expect(try !arrives(mark: 0x80000))
        try lab.node.ip("link set eth0 up\nroute add default via 192.0.2.1")
        try eventually { try arrives(mark: 0x80000) }
        #expect(try !arrives())

        try lab.node.ip("addr add 192.0.2.9/29 dev eth0\nroute replace default via 192.0.2.10")
        try eventually { try table("-4").contains("default via 192.0.2.10") }
        #expect(try !table("-4").contains("default via 192.0.2.1"))
        withExtendedLifetime(node) {}
    }

    @Test("an uplink that is made anew is guarded again at once")
    func remade() throws {
        let node = try run()
        try lab.node.ip("link del eth0")
        try eventually { try report(node).guard?.interfaces == [] }
        try lab.isp.cable("node0", to: lab.node, "eth0")
        try lab.isp.ip("addr add 192.0.2.1/30 dev node0\naddr add 2001:db8:2::1/64 dev node0")
        try eventually { try lab.node.run(["tc", "filter", "show", "dev", "eth0", "egress"]).contains("guard_egress") }
        try lab.node.ip("addr add 192.0.2.2/30 dev eth0\nroute add default via 192.0.2.1")
        #expect(try !arrives())
        try eventually { try arrives(mark: 0x80000) }
        try eventually { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
        withExtendedLifetime(node) {}
    }

    // MARK: The return path

    @Test("what the VPN sends to a client without being asked arrives nowhere, alive or dead")
    func unasked() throws {
        try lab.node.set("net/ipv4/ip_forward", to: "1")
        try lab.node.set("net/ipv6/conf/all/forwarding", to: "1")
        // The provider sends what it likes: its end of the tunnel takes any source, and knows who is behind it.
        try lab.server.ip("route add 100.64.0.2/32 dev wg0\nroute add fd7a:115c:a1e0::2/128 dev wg0")
        let key = try lab.server.run(["wg", "show", "wg0", "peers"]).split(separator: "\n")[0]
        let allowed = "10.64.0.2/32,fd00:64::2/128,100.64.0.2/32,fd7a:115c:a1e0::2/128"
        try lab.server.run(["wg", "set", "wg0", "peer", String(key), "allowed-ips", allowed])
        func reachesTheClient(_ address: String, _ from: String) throws -> Bool {
            let mailbox = try Mailbox(on: lab.client, at: address, port: 7001)
            let sender = try Mailbox(on: lab.server, at: from, port: 7001)
            try sender.send([1], to: address, port: 7001)
            return mailbox.receive(upTo: 500) != nil
        }
        func reached() throws -> [Bool] {
            [
                try reachesTheClient(lab.clientAddress.v4, "10.64.0.1"),
                try reachesTheClient(lab.clientAddress.v6, "fd00:64::1"),
            ]
        }
        // The control: the kernel routes it, once the tunnels have shaken hands, which they try again after five seconds.
        try eventually(within: .seconds(15)) { try reached() == [true, true] }
        let node = try run()
        #expect(try reached() == [false, false])
        try eventually(within: .seconds(15)) { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
        node.child.signal(SIGKILL)
        _ = node.child.wait(upTo: .seconds(5))
        #expect(try reached() == [false, false])
    }
}
