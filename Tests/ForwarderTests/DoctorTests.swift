import Foundation
import Lab
import LinuxSystem
import TestSupport
import Testing

@testable import Node

/// Whatever keeps a node from forwarding is provoked, found by its probe, and gone once the remedy is followed.
@Suite(.labCanBeBuilt) struct DoctorTests {
    let lab: PlainLab

    init() throws { lab = try PlainLab() }

    /// What `forwarder doctor` says on the lab's node.
    func doctor(
        _ arguments: [String] = [], behind wrapper: [String] = [], capabilities: Capabilities? = [.netAdmin, .bpf]
    ) throws -> DoctorReport {
        let child = try lab.node.start(
            wrapper + ["env", "-u", "FORWARDER_CONTROL_SOCKET", Binary.path.path, "doctor", "--json"] + arguments,
            capabilities: capabilities)
        let ending = child.wait(upTo: .seconds(20))
        let report = try DoctorReport(json: Data(child.standardOutput.utf8))
        #expect(ending == .exited(report.ok ? 0 : 1), "\(child.standardError)")
        #expect(report.findings.map(\.id) == Probe.all.map(\.id))
        for finding in report.findings {
            #expect((finding.remedy == nil) == (finding.severity == .ok), "\(finding)")
            #expect(finding.severity <= Probe.all.first { $0.id == finding.id }?.worst ?? .ok, "\(finding)")
            for secret in [lab.clientAddress.v4, lab.clientAddress.v6] {
                #expect(!finding.evidence.contains(secret) && finding.remedy?.contains(secret) != true)
            }
        }
        return report
    }

    /// Expects one probe to find it, with a remedy that holds what is then done, and nothing any more afterwards.
    func expect(
        _ id: String, _ severity: Finding.Severity, remedy: String, _ arguments: [String] = [],
        behind wrapper: [String] = [], wellBehind healer: [String] = [],
        capabilities: Capabilities? = [.netAdmin, .bpf], follow: () throws -> [String]? = { nil },
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let ill = try doctor(arguments, behind: wrapper, capabilities: capabilities)[id]
        #expect(ill?.severity == severity, "\(String(describing: ill))", sourceLocation: sourceLocation)
        #expect(ill?.remedy?.contains(remedy) == true, "\(String(describing: ill))", sourceLocation: sourceLocation)
        let well = try doctor(
            follow() ?? [], behind: healer, capabilities: healer.isEmpty ? [.netAdmin, .bpf] : capabilities)
        #expect(well[id]?.severity == .ok, "\(String(describing: well[id]))", sourceLocation: sourceLocation)
        #expect(well.ok, sourceLocation: sourceLocation)
    }

    /// Does what a remedy says, which therefore holds it.
    func expect(
        _ id: String, _ severity: Finding.Severity, command: String, _ arguments: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try expect(
            id, severity, remedy: command, arguments,
            follow: {
                try lab.node.run(["sh", "-c", command])
                return nil
            }, sourceLocation: sourceLocation)
    }

    func shell(_ line: String) throws { try lab.node.run(["sh", "-c", line]) }

    // MARK: Health

    @Test("a healthy host has no error and no warning, before a node runs, while it does, and after it")
    func healthy() throws {
        try lab.layUplink("eth0", 1, metric: 100)
        let graveBefore = try doctor().findings.filter { $0.severity > .note }
        #expect(graveBefore.isEmpty, "\(graveBefore)")
        #expect(!(try lab.node.run(["ip", "link"]).contains("fwd-")), "nothing stays")
        #expect(!(try lab.node.run(["tc", "qdisc"]).contains("clsact")), "nothing stays")

        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        // Without a capability, too: the node holds what is needed.
        for capabilities in [Capabilities([.netAdmin, .bpf]), []] {
            let beside = try doctor(capabilities: capabilities)
            let grave = beside.findings.filter { $0.severity > .note }
            #expect(grave.isEmpty, "\(grave)")
            for id in ["node", "ports", "offloads", "io_uring", "control_socket", "capabilities", "rules"] {
                #expect(beside[id]?.severity == .ok, "\(String(describing: beside[id]))")
            }
        }
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3, "and it goes on")

        forwarder.stop()
        try eventually { try doctor()["ports"]?.severity == .ok }
        try expect("node", .warning, remedy: "give the host back: forwarder down") {
            try lab.node.run([Binary.path.path, "down"])
            return nil
        }
    }

    // MARK: The edges

    @Test("an edge that is not there, down, without an address or a loopback is told")
    func edges() throws {
        try expect(
            "vpn", .error, remedy: "name its interface with --vpn (here are tailscale0, tun0)", ["--vpn", "wg7"]
        ) {
            ["--vpn", "tun0"]
        }
        try expect("tailnet", .error, remedy: "--tailnet tailscale0", ["--tailnet", "lo"]) {
            ["--tailnet", "tailscale0"]
        }
        try lab.node.ip("link set tailscale0 down")
        try expect("tailnet", .error, command: "ip link set tailscale0 up")
        try lab.node.ip("addr flush dev tun0 scope global")
        try expect("vpn", .error, remedy: "ip address add ADDRESS dev tun0") {
            try lab.node.ip("address add \(lab.exitAddress.v4)/24 dev tun0")
            return nil
        }
        try expect("vpn_ipv6", .note, remedy: "ip address add ADDRESS/128 dev tun0") {
            try lab.node.ip("address add \(lab.exitAddress.v6)/128 dev tun0")
            return nil
        }
    }

    @Test("a tailscaled that runs without an interface is told from none")
    func userspaceMode() throws {
        try lab.node.ip("link set tailscale0 down\nlink set tailscale0 name ts7")
        #expect(try doctor()["tailnet"]?.remedy?.hasPrefix("start tailscaled first") == true)
        let tailscaled = try TailscaledStandIn(on: lab.node, .advertising([]))
        let node = try lab.node.start([Binary.path.path, "run"], capabilities: [.netAdmin, .bpf])
        try eventually { node.standardError.contains("as in userspace mode; next: give tailscaled an interface") }
        let status = try lab.node.run([Binary.path.path, "status"])
        #expect(status.contains("waiting for tailscale0") && status.contains("as in userspace mode"), "\(status)")
        node.terminate()
        try expect("tailnet", .error, remedy: "TS_USERSPACE=false, or tailscaled --tun=tailscale0") {
            try lab.node.ip("link set ts7 name tailscale0\nlink set tailscale0 up")
            try eventually { try doctor()["tailnet"]?.severity == .ok }
            return nil
        }
        withExtendedLifetime(tailscaled) {}
    }

    @Test("a VPN out of which nothing comes back is told: one that never shook hands, and one that a node calls stale")
    func silentVPN() throws {
        try lab.node.ip("link delete tun0")
        let ends = try lab.digVPNEdge()
        let key = try lab.node.run(["wg", "show", "tun0", "peers"]).split(separator: "\n").map(String.init)[0]
        let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
        func replace(_ old: String, by new: String) throws {
            try lab.node.run(["wg", "set", "tun0", "peer", old, "remove"])
            try lab.node.run([
                "wg", "set", "tun0", "peer", new, "endpoint", "192.0.2.6:51820", "allowed-ips", "0.0.0.0/0,::/0",
            ])
            _ = try lab.node.ping(lab.internetAddress.v4, count: 1, upTo: 1)
        }
        try replace(key, by: wrong)
        try expect("vpn_alive", .warning, remedy: "compare the keys and the endpoint that `wg show tun0` lists") {
            try replace(wrong, by: key)
            try eventually(within: .seconds(10)) { try doctor()["vpn_alive"]?.severity == .ok }
            return nil
        }

        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--vpn-stale", "2s"])
        let client = try lab.client.start(["ping", "-n", "-i", "0.2", lab.internetAddress.v4])
        #expect(try doctor()["vpn_alive"]?.severity == .ok)
        try lab.internet.ip("link set eth0 down")
        try eventually(within: .seconds(15)) { try doctor()["vpn_alive"]?.severity == .warning }
        try expect("vpn_alive", .warning, remedy: "start the VPN again") {
            try lab.internet.ip("link set eth0 up")
            try eventually(within: .seconds(40)) { try doctor()["vpn_alive"]?.severity == .ok }
            return nil
        }
        withExtendedLifetime((ends, node, client)) {}
    }

    @Test("an uplink without its guard is told, and a guard that only observes")
    func uplinkGuard() throws {
        try shell("ip route del default; ip -6 route del default")
        try lab.layUplink("eth0", 1, metric: 100)
        try shell("ip route del default; ip -6 route del default")
        try expect("guard", .warning, remedy: "FORWARDER_UPLINK=eth0") { ["--uplink", "eth0"] }
        try shell("ip route add default via 198.18.1.1 metric 100")
        try shell("tc qdisc add dev eth0 ingress")
        try expect("guard", .error, command: "tc qdisc delete dev eth0 ingress")
        #expect(try doctor()["guard"]?.evidence == "a node will put it on eth0")
        try shell("\(Binary.path.path) guard")
        #expect(try doctor()["guard"]?.evidence == "it stands on eth0")
        try shell("tc filter del dev eth0 egress")
        try expect("guard", .warning, remedy: "forwarder guard") {
            try shell("\(Binary.path.path) guard")
            return nil
        }
        // It matches all that there is, and lets it pass.
        try shell(
            "tc filter add dev eth0 egress protocol all prio 1 handle 7 bpf bytecode '1,6 0 0 4294967295' flowid 1:1")
        try expect("filters", .warning, command: "tc filter del dev eth0 egress prio 1 handle 0x7 bpf")
        #expect(try doctor()["guard"]?.evidence == "it stands on eth0")
        for number in 2...5 { try lab.layUplink("eth\(number)", number, metric: 100 + number) }
        try shell("\(Binary.path.path) guard")
        try expect("guard", .warning, remedy: "FORWARDER_UPLINK=eth0") { ["--uplink", "eth0"] }
        try expect("uplink", .warning, remedy: "leave --uplink out", ["--uplink", "eth0"]) {
            for number in 2...5 { try lab.node.ip("link del eth\(number)") }
            return ["--uplink", "eth0"]
        }
        try expect("guard", .warning, remedy: "FORWARDER_GUARD=on", ["--guard", "observe"]) { ["--guard", "on"] }
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--guard", "observe"])
        #expect(try doctor()["guard"]?.evidence.contains("has let pass") == true)
        withExtendedLifetime(node) {}
    }

    @Test("default routes that are missing, several, or without a next hop are told, and an uplink that is not there")
    func uplink() throws {
        try expect("uplink", .warning, remedy: "leave --uplink out", ["--uplink", "eth7"])
        try lab.node.ip("route add default via 10.64.0.9 metric 100")
        try expect("uplink", .note, command: "ip route delete default dev tun0 metric 0")
        try lab.node.ip("route replace default dev tun0 metric 100")
        try expect("uplink", .note, remedy: "ip route replace default via GATEWAY dev tun0 metric 100") {
            try shell("ip route replace default via 10.64.0.1 dev tun0 metric 100")
            return nil
        }
        try shell("ip route append default via 10.64.0.9 dev tun0 metric 100")
        #expect(try doctor()["uplink"]?.evidence.hasPrefix("of several of one metric the first decides") == true)
        try expect("uplink", .note, command: "ip route delete default dev tun0 metric 100")
        try shell("ip route del default metric 100; ip -6 route del default")
        try expect("uplink", .warning, remedy: "ip route add default via GATEWAY dev ") {
            try shell("ip route add default via 10.64.0.1 dev tun0")
            return nil
        }
    }

    @Test("a default route with several next hops is told, in both families")
    func multipath() throws {
        try lab.node.ip(
            """
            link add eth9 type veth peer name eth8
            link set eth8 up
            link set eth9 up
            addr add 192.0.2.2/24 dev eth9
            addr add 2001:db8:9::2/64 dev eth9
            route replace default nexthop via 10.64.0.1 dev tun0 nexthop via 192.0.2.1 dev eth9
            """)
        try expect("uplink", .note, remedy: "ip route replace default via GATEWAY dev tun0") {
            try shell("ip route replace default via 10.64.0.1 dev tun0")
            return nil
        }
        try shell(
            "ip -6 route replace default metric 1024 nexthop via fd00:64::1 dev tun0 nexthop via 2001:db8:9::1 dev eth9"
        )
        try expect(
            "uplink", .note, remedy: "ip -6 route replace default via GATEWAY dev eth9 metric 1024",
            ["--uplink", "eth9"]
        ) {
            try shell("ip -6 route replace default via 2001:db8:9::1 dev eth9 metric 1024")
            return ["--uplink", "eth9"]
        }
    }

    @Test("a vpn edge of a smaller MTU than the tailnet's is told")
    func mtu() throws {
        try lab.node.ip("link set tun0 mtu 1280")
        try expect("mtu", .note, command: "ip link set tun0 mtu 1500")
    }

    @Test("networks that tailscaled does not tell, or that nobody should believe, are told")
    func subnetRoutes() throws {
        try expect(
            "subnet_routes", .note, remedy: "--local 192.168.1.0/24", follow: { ["--local", "192.168.1.0/24"] })
        let tailscaled = try TailscaledStandIn(on: lab.node, .advertising(["0.0.0.0/1", "10.0.0.0/8", "fc00::/7"]))
        try expect("subnet_routes", .warning, remedy: "tailscale set --advertise-routes=10.0.0.0/8,fc00::/7") {
            tailscaled.behave(.advertising(["10.0.0.0/8", "fc00::/7"]))
            return nil
        }
    }

    // MARK: What others put there

    @Test("a rule that would route clients before ours is told, before a node runs and beside it")
    func rules() throws {
        try lab.node.ip("rule add iif tailscale0 lookup 100 preference 50")
        try expect("rules", .warning, command: "ip rule delete preference 50")
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        try shell("ip -6 rule add lookup 100 preference 60")
        try expect("rules", .warning, command: "ip -6 rule delete preference 60")
        forwarder.child.signal(SIGKILL)
        _ = forwarder.child.wait(upTo: .seconds(5))
        try eventually { try !lab.node.run(["ip", "link"]).contains("fwd-") }
        try lab.node.ip("rule delete iif tailscale0 preference 91")
        try expect(
            "rules", .warning, command: "ip rule add iif tailscale0 preference 91 protocol 240 unreachable")
    }

    @Test("a rule that passes over ours is told, and one that refuses what the host routes")
    func otherRules() throws {
        try lab.node.ip("rule add iif tailscale0 goto 32766 preference 50")
        try expect("rules", .warning, command: "ip rule delete preference 50")
        try lab.node.ip("rule add goto 91 preference 50\nrule add iif tailscale0 blackhole preference 51")
        #expect(try doctor()["rules"]?.severity == .ok, "they lead to ours, and refuse what ours would")
        try expect("rules", .note, command: "ip rule delete preference 51", ["--local", "192.0.2.0/24"])
        for action in ["blackhole", "prohibit", "unreachable"] {
            try shell("ip -6 rule add \(action) preference 60")
            try expect("rules", .note, command: "ip -6 rule delete preference 60")
        }
    }

    @Test("foreign filters that come before us or see what we send are told, and an ingress qdisc")
    func filters() throws {
        try lab.node.run(["tc", "qdisc", "add", "dev", "tun0", "clsact"])
        func add(_ way: String, priority: String) throws {
            try shell("tc filter add dev tun0 \(way) prio \(priority) protocol ip u32 match u32 0 0")
        }
        try add("ingress", priority: "1")
        let run = try lab.node.start([Binary.path.path, "run", "--wait", "0"], capabilities: [.netAdmin, .bpf])
        #expect(run.wait(upTo: .seconds(10)) == .exited(69), "the kernel refuses ours: \(run.standardError)")
        try eventually { try !lab.node.run(["ip", "link"]).contains("fwd-") }
        try expect("filters", .error, command: "tc filter del dev tun0 ingress prio 1")
        try add("egress", priority: "7")
        try expect("filters", .warning, command: "tc filter del dev tun0 egress prio 7")
        try shell("tc qdisc del dev tun0 clsact; tc qdisc add dev tun0 ingress")
        try expect("filters", .note, command: "tc qdisc del dev tun0 ingress")
    }

    @Test("programs that take packets before any filter does are told, and a remedy gives them back")
    func earlyPrograms() throws {
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        func attach(_ place: ForeignProgram.Place, to interface: String) throws -> ForeignProgram {
            try lab.node.namespace.run { () throws(KernelError) in try ForeignProgram(at: interface, place) }
        }
        func isLost() throws -> Bool { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0 }
        for (place, interface) in [(ForeignProgram.Place.tcxIngress, "tailscale0"), (.tcxEgress, "tun0")] {
            let programs = [try attach(place, to: interface), try attach(place, to: interface)]
            if place == .tcxIngress { #expect(try isLost()) }
            // The links' numbers are the kernel's choice: what the remedy says is done.
            let remedy = try #require(try doctor()["filters"]?.remedy)
            try expect("filters", .warning, command: String(remedy.trimmingPrefix("if it is not meant for that: ")))
            if place == .tcxIngress { #expect(try !isLost()) }
            withExtendedLifetime(programs) {}
        }
        _ = try attach(.xdp, to: "tun0")
        try expect("filters", .warning, command: "ip link set dev tun0 xdpgeneric off")
        let byLink = try attach(.xdpByLink, to: "tun0")
        #expect(throws: LabFailure.self) { try shell("ip link set dev tun0 xdpgeneric off") }
        let number = try #require(
            try doctor()["filters"]?.remedy?.firstMatch(of: /beside prog (\d+): bpftool link detach id LINK/)?.1)
        let listed = try lab.node.run(["bpftool", "link", "list"])
        let link = try #require(try Regex("(\\d+): xdp +prog \(number) ").firstMatch(in: listed)?.output[1].substring)
        try expect("filters", .warning, remedy: "bpftool link detach id LINK") {
            try shell("bpftool link detach id \(link)")
            return nil
        }
        withExtendedLifetime((forwarder, byLink)) {}
    }

    @Test("programs at an uplink that is no edge are notes, but before the guard warnings; who may not ask is told so")
    func earlyProgramsOfTunnels() throws {
        try lab.node.ip("link add eth9 type veth peer name eth8\nlink set eth9 up")
        let program = try lab.node.namespace.run { () throws(KernelError) in
            try ForeignProgram(at: "eth9", .tcxIngress)
        }
        let remedy = try #require(try doctor(["--uplink", "eth9"])["filters"]?.remedy)
        try expect(
            "filters", .note, command: String(remedy.trimmingPrefix("if it is not meant for that: ")),
            ["--uplink", "eth9"])
        #expect(try doctor(["--uplink", "eth9"])["filters"]?.severity == .ok)
        let early = try lab.node.namespace.run { () throws(KernelError) in
            try ForeignProgram(at: "eth9", .tcxEgress)
        }
        let found = try #require(try doctor(["--uplink", "eth9"])["filters"])
        #expect(found.evidence.contains("before the guard, which may let pass"), "\(found)")
        let detaching = try #require(found.remedy?.trimmingPrefix("if it is not meant for that: "))
        try expect("filters", .warning, remedy: String(detaching), ["--uplink", "eth9"]) {
            try shell(String(detaching))
            return ["--uplink", "eth9"]
        }
        #expect(try doctor(capabilities: .bpf)["filters"]?.evidence.hasPrefix("not asked: ") == true)
        withExtendedLifetime((program, early)) {}
    }

    @Test("no firewall sees exit traffic, a chain at an edge's egress neither, which is told")
    func firewall() throws {
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        try lab.node.nft("table inet strict {\nchain f {\ntype filter hook forward priority 0; policy drop;\n}\n}")
        #expect(try doctor()["firewall"]?.severity == .ok)
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        try lab.node.nft(
            "table netdev t {\nchain c {\ntype filter hook egress device \"tun0\" priority 0; policy drop;\n}\n}")
        #expect(try lab.node.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0, "the host's own packets meet it")
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        try expect("firewall", .note, command: "nft delete chain netdev t c")
        withExtendedLifetime(forwarder) {}
    }

    @Test("ports that the host also gives to its own sockets are told, with both ways out")
    func bindingRange() throws {
        let ports = ["--binding-ports", "16384-40000"]
        try expect("binding_range", .warning, remedy: "FORWARDER_BINDING_PORTS=16384-32767", ports) {
            ["--binding-ports", "16384-32767"]
        }
        let command = "sysctl -w net.ipv4.ip_local_reserved_ports=32768-40000"
        try expect("binding_range", .warning, remedy: command, ports) {
            try shell(command)
            return ports
        }
    }
}

extension DoctorReport {
    subscript(id: String) -> DoctorReport.Finding? { findings.first { $0.id == id } }
}
