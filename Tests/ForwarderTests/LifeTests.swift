import Foundation
import Lab
import LinuxSystem
import Testing

/// A node from its start to its end, and what stands after it.
@Suite(.serialized, .labCanBeBuilt) struct LifeTests {
    @Test("edges that are not there yet are waited for, once told, and status says so")
    func waiting() throws {
        let lab = try PlainLab()
        try lab.node.ip("link set tun0 down")
        let child = try lab.node.start([Binary.path.path, "run"], capabilities: [.netAdmin, .bpf])
        try eventually { child.standardError.contains("waiting for tun0") }
        let status = try lab.node.run([Binary.path.path, "status", "--json"])
        #expect(status.contains(#""state":"waiting""#), "\(status)")
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)

        try lab.node.ip(
            """
            link set tun0 up
            route add default via 10.64.0.1
            """)
        try eventually { child.standardError.contains("forwarding") }
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(child.standardError.components(separatedBy: "waiting for").count == 2)
        #expect(child.terminate() == .exited(0))
    }

    @Test("a tailnet edge without an address is waited for: the node's own traffic could not be told apart")
    func bareEdge() throws {
        let lab = try PlainLab()
        try lab.node.ip("addr flush dev tailscale0 scope global")
        let child = try lab.node.start([Binary.path.path, "run"], capabilities: [.netAdmin, .bpf])
        try eventually { child.standardError.contains("waiting for an address on tailscale0") }
        try lab.node.ip("addr add \(lab.nodeAddress.v4)/10 dev tailscale0")
        try eventually { child.standardError.contains("forwarding") }
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(try lab.client.ping(lab.nodeAddress.v4) == 3)
    }

    @Test("after SIGTERM and after kill -9 exit traffic stops; the next run takes over; down gives the host back")
    func end() throws {
        let lab = try PlainLab()
        try lab.enableKernelRouting()
        let home = lab.internetAddress.v4
        #expect(try lab.client.ping(home) == 3, "the kernel forwards: what must not happen below can happen")
        for signal in [SIGTERM, SIGKILL] {
            let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
            #expect(try lab.client.ping(home) == 3)
            forwarder.child.signal(signal)
            #expect(
                forwarder.child.wait(upTo: .seconds(5)) == (signal == SIGTERM ? .exited(0) : .killed(signal: signal)))
            #expect(try lab.client.ping(home, count: 2, upTo: 1) == 0, "after signal \(signal)")
            #expect(try lab.client.ping(lab.nodeAddress.v4) == 3, "the node itself answers")
        }
        let again = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.client.ping(home) == 3)
        let down = try again.ask(["down", "--json"])
        #expect(down.contains("tailnet_ingress") && down.contains("stopped"), "\(down)")
        #expect(again.child.wait(upTo: .seconds(5)) == .exited(0))
        #expect(!(try lab.node.run(["ip", "link"]).contains("fwd-")))
        #expect(!(try lab.node.run(["tc", "qdisc"]).contains("clsact")))
        #expect(try lab.client.ping(home) == 3, "the kernel forwards again")
        #expect(try lab.node.run([Binary.path.path, "down"]).contains("nothing of forwarder's"))
    }

    @Test("down returns when both ports are gone, and no sooner", arguments: ["fwd-in", "fwd-out"])
    func portsGone(port: String) throws {
        let lab = try PlainLab()
        try lab.node.ip("tuntap add \(port) mode tun")
        let kernel = try lab.node.start(["sh", "-c", "sleep 0.5; ip link delete \(port)"])
        try lab.node.run([Binary.path.path, "down"])
        #expect(!(try lab.node.run(["ip", "link"]).contains(port)))
        withExtendedLifetime(kernel) {}
    }

    @Test("down takes nothing from under a node that answers on another socket")
    func otherSocket() throws {
        let lab = try PlainLab()
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, ["--control-socket", "/run/other.sock"])
        let down = try lab.node.start([Binary.path.path, "down"])
        #expect(down.wait(upTo: .seconds(10)) == .exited(69))
        #expect(down.standardError.contains("--control-socket"), "\(down.standardError)")
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(try forwarder.ask(["down", "--control-socket", "/run/other.sock"]).contains("removed"))
    }

    @Test("who asks for status after a node's end hears that exit traffic is dropped, and what gives the host back")
    func statusAfterTheEnd() throws {
        let lab = try PlainLab()
        func status(_ arguments: String...) throws -> String {
            let child = try lab.node.start([Binary.path.path, "status"] + arguments, capabilities: [])
            #expect(child.wait(upTo: .seconds(10)) == .exited(69))
            return child.standardError
        }
        let before = try status()
        #expect(before.hasSuffix("next: start one: forwarder run\n") && !before.contains("dropped"), "\(before)")

        let own = ["--control-socket", "/run/my node.sock"]
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, own)
        let elsewhere = try status()
        #expect(elsewhere.contains("a node runs that answers elsewhere"), "\(elsewhere)")
        #expect(elsewhere.contains("next: name its socket with --control-socket"), "\(elsewhere)")

        forwarder.child.signal(SIGKILL)
        try eventually { try status(own[0], own[1]).contains("exit traffic from tailscale0 is dropped") }
        let after = try status(own[0], own[1])
        let down = "forwarder down --control-socket '/run/my node.sock'"
        #expect(after.hasSuffix("or give the host back: \(down)\n"), "\(after)")
        let typed = down.replacing("forwarder", with: Binary.path.path, maxReplacements: 1)
        #expect(try lab.node.run(["sh", "-c", typed]).contains("removed forwarder:tailnet_ingress"))
        #expect(try status().hasSuffix("next: start one: forwarder run\n"))
    }

    @Test("down leaves what others attached")
    func foreignFilters() throws {
        let lab = try PlainLab()
        try lab.node.run(["tc", "qdisc", "add", "dev", "tun0", "clsact"])
        try lab.node.run(
            [
                "tc", "filter", "add", "dev", "tun0", "egress", "prio", "7", "protocol", "ip", "u32", "match", "u32",
                "0", "0",
            ])
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        _ = try forwarder.ask(["down"])
        #expect(try lab.node.run(["tc", "filter", "show", "dev", "tun0", "egress"]).contains("u32"))
        #expect(!(try lab.node.run(["tc", "qdisc", "show", "dev", "tailscale0"]).contains("clsact")))
    }

    @Test("an ingress qdisc that was there is used, and stays")
    func foreignQdisc() throws {
        let lab = try PlainLab()
        for edge in ["tailscale0", "tun0"] { try lab.node.run(["tc", "qdisc", "add", "dev", edge, "ingress"]) }
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        let down = try forwarder.ask(["down"])
        #expect(down.components(separatedBy: "removed forwarder:").count == 3, "\(down)")
        for edge in ["tailscale0", "tun0"] {
            #expect(try lab.node.run(["tc", "qdisc", "show", "dev", edge]).contains("ingress"))
            #expect(!(try lab.node.run(["tc", "filter", "show", "dev", edge, "ingress"]).contains("forwarder")))
        }
    }

    @Test("down goes on with the other interfaces when one cannot be given back, and says which")
    func partialDown() throws {
        let lab = try PlainLab()
        let dead = try ForwarderProcess(Binary.path.path, on: lab)
        dead.child.signal(SIGKILL)
        _ = dead.child.wait(upTo: .seconds(5))
        // Until the kernel has let go of the ports, `down` asks for them again and again.
        try eventually { try !lab.node.run(["ip", "link"]).contains("fwd-") }
        // The first interface listed is lo: of the requests to rtnetlink, the first that names it is refused.
        var message = ""
        for number in 1...10 where !message.contains("RTM_GETTFILTER lo") {
            let down = try lab.node.start(
                [
                    "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e",
                    "inject=sendmsg:error=ENOBUFS:when=\(number)", Binary.path.path, "down",
                ])
            #expect(down.wait(upTo: .seconds(20)) == .exited(69))
            message = down.standardError
        }
        #expect(message.contains("RTM_GETTFILTER lo"), "\(message)")
        #expect(!(try lab.node.run(["tc", "qdisc"]).contains("clsact")))
    }

    @Test("the first packet passes soon after the start")
    func start() throws {
        let lab = try PlainLab()
        var milliseconds: [Double] = []
        for _ in 0..<5 {
            // Pings before anybody forwards, and notes when the first answer comes.
            let pings = try lab.client.start(["ping", "-D", "-n", "-i", "0.002", "-c", "4000", lab.internetAddress.v4])
            usleep(100_000)
            let started = Date().timeIntervalSince1970
            let child = try lab.node.start([Binary.path.path, "run"], capabilities: [.netAdmin, .bpf])
            try eventually { pings.standardOutput.contains("icmp_seq=") }
            let first = try #require(
                pings.standardOutput.split(separator: "[").dropFirst().first?.split(separator: "]").first)
            milliseconds.append((try #require(Double(first)) - started) * 1000)
            child.terminate()
        }
        print("start to first forwarded packet, ms: \(milliseconds.sorted().map { Int($0) })")
        // A debug build beside other tests is no place to measure: `bench start` holds the bar of 300 ms.
        #expect(try #require(milliseconds.min()) < 2000)
    }
}
