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
        let report = try lab.node.doctor(arguments, behind: wrapper, capabilities: capabilities)
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
            if place == .tcxIngress { try eventually { try !isLost() } }
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
