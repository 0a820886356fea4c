import Foundation
import Lab
import LinuxSystem
import Testing

/// A node whose interfaces come and go: it follows them without a restart, and nothing leaves by another way meanwhile.
@Suite(.serialized, .labCanBeBuilt) struct FollowingTests {
    private let lab: PlainLab
    private let forwarder: ForwarderProcess

    init() throws {
        lab = try PlainLab()
        forwarder = try ForwarderProcess(Binary.path.path, on: lab)
    }

    private func status() throws -> String { try forwarder.ask(["status", "--json"]) }

    @Test("a vpn edge that is deleted and made again is followed, and its flows live on")
    func recreatedVPN() throws {
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let held = try EchoClient(on: lab.client, to: lab.internetAddress.v4).converse()
        for _ in 0..<3 {
            try lab.node.ip("link del tun0")
            try eventually { try status().contains(#""state":"waiting""#) }
            try lab.makeVPNEdge(lab.exitAddress)
            try eventually { try status().contains(#""state":"forwarding""#) }
            #expect(try lab.passes())
            #expect(held.goesOn())
        }
        withExtendedLifetime(echo) {}
        #expect(forwarder.child.standardError.components(separatedBy: "msg=forwarding ").count == 5)
    }

    @Test("another exit address ends the flows of the old one, and new ones leave by the new")
    func otherAddress() throws {
        #expect(try lab.passes())
        let old = try forwarder.status()
        #expect(old.flows.live > 0)
        try lab.node.ip("link del tun0")
        try lab.makeVPNEdge(DualStack(v4: "10.64.0.7", v6: lab.exitAddress.v6))
        try eventually { try status().contains("10.64.0.7") }
        let kept = try forwarder.status()
        #expect(kept.flows.live < old.flows.live && kept.flows.live > 0, "the IPv6 flows stay")
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let seen = try EchoClient(on: lab.client, to: lab.internetAddress.v4).endpointSeenOverTCP()
        #expect(seen.contains("10.64.0.7"), "\(seen)")
        withExtendedLifetime(echo) {}

        // An address that is added beside the first one changes nothing, one that replaces it does.
        try lab.node.ip(
            "addr del 10.64.0.7/24 dev tun0\naddr add 10.64.0.8/24 dev tun0\nroute add default via 10.64.0.1")
        try eventually { try status().contains("10.64.0.8") }
        #expect(try lab.passes())
    }

    @Test("a tailnet edge that is made again is followed with us alive, and closed with us dead")
    func recreatedTailnet() throws {
        try lab.enableKernelRouting()
        try lab.node.ip("link del tailscale0")
        try lab.makeTailnetEdge()
        try eventually { try lab.passes() }

        forwarder.child.signal(SIGKILL)
        _ = forwarder.child.wait(upTo: .seconds(5))
        try lab.node.ip("link del tailscale0")
        try lab.makeTailnetEdge()
        #expect(try !lab.passes(), "no program is on the new interface, but the rule is there")
        #expect(try lab.client.ping(lab.nodeAddress.v4) == 3, "the node itself answers")

        for family in ["-4", "-6"] {
            try lab.node.run(["ip", family, "rule", "del", "iif", "tailscale0", "unreachable"])
            try lab.node.run(["ip", family, "rule", "del", "iif", "tun0", "blackhole"])
        }
        #expect(try lab.passes(), "the control: without the rule the kernel would have routed it")
    }

    @Test("edges that are down or renamed are waited for, closed, and followed when they are back")
    func downAndRenamed() throws {
        try lab.enableKernelRouting()
        for edge in ["tun0", "tailscale0"] {
            try lab.node.ip("link set \(edge) down\nlink set \(edge) name elsewhere\nlink set elsewhere up")
            try eventually { try status().contains(#""waiting_for":["\#(edge)"]"#) }
            #expect(try !lab.passes(), "\(edge)")
            try lab.node.ip("link set elsewhere down\nlink set elsewhere name \(edge)")
            try eventually { try status().contains("\(edge) to come up") }
            try lab.node.ip("link set \(edge) up")
            if edge == "tun0" {
                try lab.node.ip("route add default via 10.64.0.1\naddr replace \(lab.exitAddress.v6)/64 dev tun0")
                try lab.node.ip("route add default via fd00:64::1")
            } else {
                try lab.node.ip("addr replace \(lab.nodeAddress.v6)/48 dev tailscale0")
            }
            try eventually { try lab.passes() }
        }
    }

    @Test("what others take away of ours is put back: programs, rules, a port that is set down")
    func putBack() throws {
        for change in [
            ["tc", "filter", "del", "dev", "tailscale0", "ingress"], ["tc", "qdisc", "del", "dev", "tun0", "clsact"],
            ["ip", "link", "set", "fwd-in", "down"], ["ip", "link", "set", "fwd-out", "down"],
            ["ip", "rule", "del", "iif", "tailscale0", "unreachable"],
            ["ip", "-6", "rule", "del", "iif", "tailscale0", "unreachable"],
        ] {
            try lab.node.run(change)
            try eventually { try lab.passes() }
            try eventually {
                let rules = try lab.node.run(["ip", "rule"]) + lab.node.run(["ip", "-6", "rule"])
                return rules.components(separatedBy: "iif tailscale0 unreachable").count == 3
            }
        }
    }

    @Test("a dry run tells the plan, first what closes, and changes nothing")
    func dryRun() throws {
        _ = try forwarder.ask(["down"])
        let before = try lab.node.run(["ip", "rule"]) + lab.node.run(["tc", "qdisc"])
        let plan = try forwarder.ask(["run", "--dry-run", "--local", "192.168.7.0/24"])
        let lines = plan.split(separator: "\n").map(String.init)
        #expect(lines.count > 20 && lines.allSatisfy { $0.hasPrefix("to do") }, "\(plan)")
        #expect(lines.first?.contains("iif tailscale0 unreachable") == true)
        #expect(plan.contains("to 192.168.7.0/24 iif tailscale0 lookup main"))
        #expect(try lab.node.run(["ip", "rule"]) + lab.node.run(["tc", "qdisc"]) == before)

        let running = try ForwarderProcess(Binary.path.path, on: lab)
        let again = try forwarder.ask(["run", "--dry-run", "--json"])
        #expect(again.contains(#""holds":true"#) && again.contains("forwarder.plan/1"), "\(again)")
        withExtendedLifetime(running) {}
    }

    @Test("a port that somebody deletes ends the node with a sentence, closed")
    func deletedPort() throws {
        try lab.enableKernelRouting()
        try lab.node.ip("link del fwd-in")
        #expect(forwarder.child.wait(upTo: .seconds(5)) == .exited(69))
        #expect(forwarder.child.standardError.contains("a port of ours was taken away"))
        #expect(try !lab.passes())
    }

    @Test(
        "a port that somebody renames or moves ends the node with a sentence, closed",
        arguments: ["link set fwd-out down\nlink set fwd-out name mine", "link del fwd-out"])
    func renamedPort(change: String) throws {
        try lab.enableKernelRouting()
        try lab.node.ip(change)
        #expect(forwarder.child.wait(upTo: .seconds(5)) == .exited(69))
        #expect(forwarder.child.standardError.contains("a port of ours was taken away"))
        #expect(try !lab.passes())
    }

    @Test("a port's queue that somebody takes away is put back")
    func queue() throws {
        try lab.node.ip("link set fwd-in txqueuelen 0")
        try lab.node.ip("link set tun0 mtu 1400")
        try eventually { try lab.node.run(["ip", "link", "show", "fwd-in"]).contains("qlen 4096") }
        #expect(try lab.passes())
    }

    @Test("a reader of the log that takes nothing does not hold the node up")
    func silentReader() throws {
        forwarder.stop()
        // Whoever runs it opens a pipe for stderr and never reads it.
        let node = try lab.node.start(
            [
                "sh", "-c", "mkfifo /run/log; exec 3<>/run/log; exec \(Binary.path.path) run --log trace 2>/run/log",
            ], capabilities: [.netAdmin, .bpf])
        try eventually { try lab.passes() }
        // More lines than a pipe holds: 64 KiB.
        for _ in 0..<300 {
            try lab.node.ip("link set tun0 down\nlink set tun0 up")
            try lab.node.ip("route replace default via 10.64.0.1")
        }
        try lab.node.ip("link del tun0")
        try lab.makeVPNEdge(lab.exitAddress)
        try eventually { try lab.passes() }
        node.signal(SIGTERM)
        #expect(node.wait(upTo: .seconds(2)) == .exited(0))
    }

    @Test("a namespace that its owner has left ends the node with a sentence, also with tailscaled in it")
    func abandoned() throws {
        // As the kernel's own tunnels stand in every namespace: down, without an address.
        try lab.node.ip("link add br9 type bridge\nlink del tun0")
        try eventually { try status().contains(#""waiting_for":["tun0"]"#) }
        #expect(forwarder.child.wait(upTo: .seconds(15)) == .exited(69))
        #expect(forwarder.child.standardError.contains("docker compose up -d --force-recreate tailscale forwarder"))
    }

    @Test("a node whose uplink is down waits, and does not take its namespace for left")
    func uplinkDown() throws {
        try lab.node.ip("link add br9 type bridge\naddr add 192.0.2.9/24 dev br9\nlink del tun0")
        #expect(forwarder.child.wait(upTo: .seconds(8)) == nil)
    }

    @Test("an interface that is an edge no more forwards nothing, and one that SIGHUP lets go is given back")
    func formerEdges() throws {
        forwarder.stop()
        try lab.enableKernelRouting()
        try lab.node.run(["sh", "-c", "echo 'tailnet: tailscale0' > /run/forwarder.yaml"])
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--config", "/run/forwarder.yaml"])
        #expect(try lab.passes())

        // The clients' interface bears another name, and another one has its name.
        try lab.node.ip(
            """
            link set tailscale0 down
            link set tailscale0 name former
            link set former up
            addr replace \(lab.nodeAddress.v6)/48 dev former
            link add tailscale0 type bridge
            addr add 100.64.0.9/32 dev tailscale0
            link set tailscale0 up
            """)
        try eventually { try node.status().local == [] && node.ask(["status", "--json"]).contains("forwarding") }
        #expect(try !lab.passes(), "neither by us nor by the kernel")

        try lab.node.run(["sh", "-c", "echo 'tailnet: former' > /run/forwarder.yaml"])
        node.child.signal(SIGHUP)
        try eventually { try lab.passes() }
        let before = try node.status().forwarded.egress.packets
        #expect(try lab.passes())
        #expect(try node.status().forwarded.egress.packets > before, "by us")
        #expect(!(try lab.node.run(["tc", "filter", "show", "dev", "tailscale0", "ingress"]).contains("forwarder:")))
        #expect(!(try lab.node.run(["ip", "rule"]).contains("tailscale0")))

        // The vpn edge too, which a default route makes an uplink: what it is left with is the kernel's.
        try lab.node.run(["sh", "-c", "printf 'tailnet: former\\nvpn: tailscale0' > /run/forwarder.yaml"])
        node.child.signal(SIGHUP)
        try eventually {
            try !lab.node.run(["tc", "filter", "show", "dev", "tun0", "ingress"]).contains("vpn_ingress")
        }
        #expect(try !lab.passes())
    }

    @Test("an edge that SIGHUP gives up and chooses again before another was there keeps its program")
    func edgeChosenAgain() throws {
        forwarder.stop()
        try lab.node.run(["sh", "-c", "echo 'tailnet: tailscale0' > /run/forwarder.yaml"])
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--config", "/run/forwarder.yaml"])
        let changes = try lab.node.start(["tc", "monitor"])
        for (tailnet, sign) in [("ts9", #""waiting_for":["ts9"]"#), ("tailscale0", #""state":"forwarding""#)] {
            try lab.node.run(["sh", "-c", "echo 'tailnet: \(tailnet)' > /run/forwarder.yaml"])
            node.child.signal(SIGHUP)
            try eventually { try node.ask(["status", "--json"]).contains(sign) }
        }
        #expect(try lab.passes())
        #expect(!changes.standardOutput.contains("deleted filter"), "\(changes.standardOutput)")
        try lab.node.run(["tc", "filter", "del", "dev", "tailscale0", "ingress"])
        try eventually { changes.standardOutput.contains("deleted filter") }
    }

    @Test("SIGHUP takes new settings, and bad ones leave the old")
    func hangUp() throws {
        forwarder.stop()
        try lab.node.run(["sh", "-c", "echo 'flows: 2048' > /run/forwarder.yaml"])
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--config", "/run/forwarder.yaml"])
        func told(_ text: String) throws { try eventually { node.child.standardError.contains(text) } }

        try lab.node.run(["sh", "-c", "echo 'flows: many' > /run/forwarder.yaml"])
        node.child.signal(SIGHUP)
        try told("the old ones stay")
        // What can be no edge would cut the host off, or end the node.
        for (settings, reason) in [
            ("tailnet: lo", "loopback"), ("local: 0.0.0.0/0", "nothing would be forwarded"),
            ("local: ::/7", "nothing would be forwarded"),
        ] {
            try lab.node.run(["sh", "-c", "echo '\(settings)' > /run/forwarder.yaml"])
            node.child.signal(SIGHUP)
            try told(reason)
        }
        #expect(!(try lab.node.run(["ip", "rule"]).contains("iif lo")))
        #expect(try lab.passes())
        #expect(try node.status().flows.capacity == 2048)

        try lab.node.run(["sh", "-c", "echo 'local: 203.0.113.0/24' > /run/forwarder.yaml"])
        node.child.signal(SIGHUP)
        try told("settings read again")
        try eventually { try node.status().flows.capacity == 65_536 }
        // A new table is a new session, which says when it forwards.
        try eventually { node.child.standardError.components(separatedBy: "msg=forwarding ").count == 3 }
        try eventually { try lab.client.ping(lab.internetAddress.v6, count: 1, upTo: 1) == 1 }
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0, "kept for the node itself")
        #expect(try lab.node.run(["ip", "rule"]).contains("from all to 203.0.113.0/24 iif tailscale0 lookup main"))

        try lab.node.run(["sh", "-c", "echo 'vpn: tun0' > /run/forwarder.yaml"])
        node.child.signal(SIGHUP)
        try eventually { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
        #expect(!(try lab.node.run(["ip", "rule"]).contains("203.0.113.0/24")))

        // The level of the log is a setting too: what is less than an error is told no more, until it is asked for again.
        try lab.node.run(["sh", "-c", "printf 'log: error\\nlocal: 203.0.113.0/24' > /run/forwarder.yaml"])
        node.child.signal(SIGHUP)
        try eventually { try node.status().local == ["203.0.113.0/24"] }
        try lab.node.run(["sh", "-c", "echo 'vpn: tun0' > /run/forwarder.yaml"])
        node.child.signal(SIGHUP)
        try eventually { try node.status().local == [] }
        #expect(node.child.standardError.components(separatedBy: "settings read again").count == 4)
    }

    @Test("settings that the host cannot meet leave the old ones, and the node forwards again")
    func unmetSettings() throws {
        forwarder.stop()
        try lab.node.run(["sh", "-c", "echo 'io: auto' > /run/forwarder.yaml"])
        let node = try ForwarderProcess(
            Binary.path.path, on: lab, ["--config", "/run/forwarder.yaml"],
            behind: [
                "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup", "-e",
                "inject=io_uring_setup:error=EPERM",
            ], capabilities: [.netAdmin, .bpf, .sysPtrace])
        #expect(try node.ask(["status", "--json"]).contains(#""io":"poll""#))
        try lab.node.run(["sh", "-c", "printf 'io: uring\\nflows: 2048' > /run/forwarder.yaml"])
        // strace keeps signals to itself.
        try lab.node.run(["kill", "-HUP", "\(try node.status().pid)"])
        try eventually { node.child.standardError.contains("the old ones are taken again: could not") }
        try eventually { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
        #expect(try node.ask(["status", "--json"]).contains(#""io":"poll""#))
        #expect(try node.status().flows.capacity == 65_536)
    }
}

func eventually(
    within limit: Duration = .seconds(5), _ condition: () throws -> Bool
) throws {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while try !condition() {
        try #require(clock.now < deadline)
        usleep(10_000)
    }
}
