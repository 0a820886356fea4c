import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// Names by their sides, with real resolvers and a real client, and resolv.conf as a container has it: a bind mount.
@Suite(.serialized, .labCanBeBuilt) struct NameServiceTests {
    private let lab: PlainLab
    /// One beyond each edge; each answers every name with an address that tells which it is.
    private let vpn: ChildProcess
    private let direct: ChildProcess

    private let original = "# the container's\nnameserver 10.64.0.1\nsearch tail1.ts.net\noptions ndots:0\n"

    init() throws {
        lab = try PlainLab()
        try lab.layUplink("eth0", 1, metric: 100)
        try lab.node.ip("route del default via 10.64.0.1\nroute del ::/0 via fd00:64::1")
        vpn = try Self.resolver(at: "10.64.0.1", answering: "10.0.0.64", on: lab)
        direct = try Self.resolver(at: "198.18.1.1", answering: "10.0.0.18", on: lab)
        try lab.node.write(original, to: "/etc/resolv.conf")
    }

    private static func resolver(at address: String, answering answer: String, on lab: PlainLab) throws -> ChildProcess
    {
        let server = try lab.internet.start([
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file",
            "--listen-address=\(address)", "--bind-interfaces", "--log-queries", "--log-facility=-",
            "--address=/#/\(answer)", "--txt-record=long.example.org,\(String(repeating: "a", count: 200))",
            "--txt-record=long.example.org,\(String(repeating: "b", count: 200))",
            "--txt-record=long.example.org,\(String(repeating: "c", count: 200))",
            "--txt-record=long.example.org,\(String(repeating: "d", count: 200))", "--user=root",
        ])
        try eventually { server.standardError.contains("started") }
        return server
    }

    private var resolvConf: String { get throws { try lab.node.run(["cat", "/etc/resolv.conf"]) } }

    private func start(_ arguments: [String] = []) throws -> ForwarderProcess {
        let node = try ForwarderProcess(
            Binary.path.path, on: lab, ["--dns-direct", "198.18.1.1"] + arguments)
        try eventually { try resolvConf.contains("nameserver 127.0.0.51") }
        return node
    }

    /// As the node's own processes ask: by resolv.conf, without a search.
    private func dig(_ name: String, _ options: String...) throws -> String {
        let arguments = ["dig", "+short", "+tries=1", "+time=9"] + options + [name]
        return try lab.node.run(arguments).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func code(_ name: String) throws -> (code: String, seconds: Double) {
        let begin = ContinuousClock.now
        // 9: no answer at all.
        let answer = try lab.node.run(["sh", "-c", "dig +tries=1 +time=9 \(name) || [ $? = 9 ]"])
        let took = begin.duration(to: .now)
        return (answer.firstMatch(of: /status: ([A-Z]+)/).map { String($0.1) } ?? answer, took / .seconds(1))
    }

    private let byVPN = "10.0.0.64"
    private let byUplink = "10.0.0.18"

    // MARK: Sides

    @Test("each name is asked of its side, by UDP and TCP, and only there")
    func sides() throws {
        let relays = #"{"Regions":{"1":{"Nodes":[{"HostName":"relay7.example.org"}]},"2":{"Nodes":null}}}"#
        let tailscaled = try TailscaledStandIn(on: lab.node, .advertising([]), relayMap: relays)
        let node = try start(["--dns-direct-names", "example.net"])
        for option in ["+notcp", "+tcp"] {
            #expect(try dig("controlplane.tailscale.com", option) == byUplink)
            #expect(try dig("DERP1.tailscale.com", option) == byUplink)
            #expect(try dig("vpn.example.net", option) == byUplink)
            #expect(try dig("www.example.org", option) == byVPN)
        }
        // What tailscaled tells: its relays, and its login server.
        try eventually(within: .seconds(10)) { try dig("relay7.example.org") == byUplink }
        #expect(try dig("control.example") == byUplink)
        #expect(try dig("relay8.example.org") == byVPN)
        #expect(direct.standardError.contains("controlplane.tailscale.com"), "the control")
        #expect(!direct.standardError.contains("www.example.org") && !direct.standardError.contains("relay8"))
        #expect(!vpn.standardError.contains("controlplane.tailscale.com"))

        let counts = try #require(try node.status().dns).counts
        #expect(counts.direct.answered >= 8 && counts.vpn.answered >= 3)
        #expect(counts.direct.relayed == counts.direct.answered)
        let said = node.child.standardError + (try node.ask(["status"])) + (try node.ask(["status", "--json"]))
        #expect(!said.contains("example.org") && !said.contains("tailscale.com"), "no name is told")
        withExtendedLifetime(tailscaled) {}
    }

    @Test("an answer too long for UDP comes by TCP")
    func long() throws {
        let node = try start()
        let answer = try lab.node.run(["dig", "+noedns", "TXT", "long.example.org"])
        #expect(answer.contains("TCP") && answer.contains("dddd"), "\(answer)")
        let cut = try lab.node.run(["dig", "+noedns", "+ignore", "TXT", "long.example.org"])
        #expect(cut.contains(" tc "), "the control: by UDP it is cut: \(cut)")
        withExtendedLifetime(node) {}
    }

    @Test(
        "when one side is down its names fail at once and the other side is not asked; a new vpn edge is taken at once")
    func down() throws {
        let node = try start()
        #expect(try dig("a.example.org") == byVPN)
        try lab.node.ip("link delete tun0")
        try eventually { try node.status().state == "waiting" }
        let failure = try code("b.example.org")
        #expect(failure.code == "SERVFAIL" && failure.seconds < 1, "\(failure)")
        #expect(try dig("login.tailscale.com") == byUplink)
        try lab.makeVPNEdge(lab.exitAddress)
        try lab.node.ip("route del default via 10.64.0.1\nroute del ::/0 via fd00:64::1")
        try eventually { try node.status().state == "forwarding" }
        #expect(try dig("c.example.org") == byVPN)

        try lab.node.ip("link set eth0 down")
        try eventually { try code("login.tailscale.com").code == "SERVFAIL" }
        #expect(try dig("d.example.org") == byVPN)
        #expect(!direct.standardError.contains("example.org"))
        #expect(!vpn.standardError.contains("tailscale.com"))
    }

    // MARK: resolv.conf

    @Test("resolv.conf is taken over in its inode, outlives a kill, is adopted, and given back to the octet by down")
    func takeOver() throws {
        let inode = try lab.node.run(["stat", "-c", "%i", "/etc/resolv.conf"])
        var node = try start()
        kill(node.child.processIdentifier, SIGKILL)
        _ = node.child.wait(upTo: .seconds(5))
        #expect(try resolvConf.contains("nameserver 127.0.0.51"))
        #expect(!(try resolvConf.contains("\nsearch")))
        #expect(try code("a.example.org").code != "NOERROR", "closed, with nobody to answer")
        // Finds the VPN's resolver in what the dead one has kept.
        node = try start()
        #expect(try dig("a.example.org") == byVPN)
        #expect(node.stop() == .exited(0))
        #expect(try resolvConf.contains("nameserver 127.0.0.51"), "stays with SIGTERM")
        #expect(try node.ask(["down"]).contains("gave back /etc/resolv.conf"))
        #expect(try resolvConf == original)
        #expect(try lab.node.run(["stat", "-c", "%i", "/etc/resolv.conf"]) == inode)
        #expect(!(try node.ask(["down"]).contains("resolv.conf")))
    }

    @Test("a resolv.conf that cannot be read keeps down from nothing else")
    func notOurs() throws {
        var node = try start()
        #expect(node.stop() == .exited(0))
        let taken = try resolvConf
        try lab.node.write(String(repeating: "# long\n", count: 10_000), to: "/etc/resolv.conf")
        let down = try lab.node.start([Binary.path.path, "down"])
        #expect(down.wait(upTo: .seconds(10)) == .exited(69), "\(down.standardError)")
        #expect(down.standardError.contains("all else is given back"), "\(down.standardError)")
        #expect(try !lab.node.run(["ip", "rule"]).contains("proto 240"))
        #expect(try !lab.node.run(["tc", "qdisc"]).contains("clsact"))
        try lab.node.write(taken, to: "/etc/resolv.conf")
        node = try start()
        #expect(try node.ask(["down"]).contains("gave back"))
    }

    @Test("who rewrites resolv.conf meets us again within a moment, and gets back what they wrote")
    func rewritten() throws {
        let node = try start()
        let theirs = "nameserver 100.100.100.100\nsearch tail1.ts.net\n"
        for _ in 0..<3 {
            try lab.node.write(theirs, to: "/etc/resolv.conf")
            try eventually { try resolvConf.contains("nameserver 127.0.0.51") }
        }
        #expect(try dig("a.example.org") == byVPN, "100.100.100.100 is no resolver of the VPN's")
        let told = node.child.standardError.split(separator: "\n").filter { $0.contains("has rewritten") }
        #expect(told.count == 1, "\(told)")
        // In a hurry: a fight of many rounds does not cost many writes.
        for _ in 0..<50 { try lab.node.write(theirs, to: "/etc/resolv.conf") }
        try eventually { try resolvConf.contains("nameserver 127.0.0.51") }
        _ = try node.ask(["down"])
        #expect(try resolvConf == theirs)
    }

    @Test("a resolv.conf that cannot be written is told by the log, status and doctor, and names that come are split")
    func readOnly() throws {
        try lab.node.run(["mount", "-o", "remount,bind,ro", "/etc/resolv.conf"])
        let node = try ForwarderProcess(
            Binary.path.path, on: lab, ["--dns-direct", "198.18.1.1"])
        #expect(node.child.standardError.contains("/etc/resolv.conf does not ask us: open"))
        let dns = try #require(try node.status().dns)
        #expect(!dns.isTakenOver && dns.because?.contains("Read-only file system") == true, "\(dns)")
        let finding = try finding()
        #expect(finding.severity == .warning && finding.remedy?.contains("nameserver 127.0.0.51") == true, "\(finding)")
        #expect(try dig("www.example.org", "@127.0.0.51") == byVPN)
        #expect(try resolvConf == original)
    }

    @Test("a disk that is full leaves resolv.conf as it was, which is told")
    func fullDisk() throws {
        try lab.node.run(["sh", "-c", "mkdir /run/full && mount -t tmpfs -o size=4k tmpfs /run/full"])
        let theirs = "nameserver 10.64.0.1\n" + String(repeating: "# of theirs\n", count: 330)
        try lab.node.write(theirs, to: "/run/full/resolv.conf")
        try lab.node.run(["mount", "--bind", "/run/full/resolv.conf", "/etc/resolv.conf"])
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--dns-direct", "198.18.1.1"])
        // Each look tries anew, and puts back what it could not replace.
        try eventually { try resolvConf == theirs }
        let dns = try #require(try node.status().dns)
        #expect(!dns.isTakenOver && dns.because?.contains("No space left") == true, "\(dns)")
    }

    @Test("a resolv.conf that cannot be written and asks us already is as good")
    func ownersOwn() throws {
        try lab.node.write("nameserver 127.0.0.51\n", to: "/etc/resolv.conf")
        try lab.node.run(["mount", "-o", "remount,bind,ro", "/etc/resolv.conf"])
        let node = try start(["--dns-vpn", "10.64.0.1"])
        #expect(try #require(try node.status().dns).isTakenOver)
        #expect(try dig("www.example.org") == byVPN)
    }

    @Test("off, nobody is asked by us, and resolv.conf stays as it is")
    func off() throws {
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--dns", "off"])
        #expect(try resolvConf == original)
        #expect(try node.status().dns == nil)
        #expect(try !lab.node.run(["ss", "-lnu"]).contains("127.0.0.51"))
    }

    // MARK: Nobody answers

    @Test(
        "without a resolver for the VPN's side other names fail, which is told; Tailscale's do not; one that comes is taken"
    )
    func nobodyToAsk() throws {
        try lab.node.write("nameserver 127.0.0.11\n", to: "/etc/resolv.conf")
        let node = try start()
        #expect(node.child.standardError.contains("next: name the VPN's resolver, for example FORWARDER_DNS_VPN="))
        #expect(try node.status().dns?.trouble == .nobody)
        #expect(try node.ask(["status"]).contains("no resolver is known on the VPN's side"))
        let failure = try code("a.example.org")
        #expect(failure.code == "SERVFAIL" && failure.seconds < 1, "\(failure)")
        #expect(try dig("login.tailscale.com") == byUplink)
        #expect(!direct.standardError.contains("example.org"))
        #expect(try finding().severity == .warning)
        // As Gluetun does once its tunnel is up.
        try lab.node.write("nameserver 10.64.0.1\n", to: "/etc/resolv.conf")
        try eventually { try node.status().dns?.vpn == "10.64.0.1" }
        try eventually { try resolvConf.contains("nameserver 127.0.0.51") }
        #expect(try dig("b.example.org") == byVPN)
        #expect(try node.status().dns?.trouble == nil)
        #expect(try finding().severity == .ok)
        #expect(try node.ask(["down"]).contains("gave back"))
        #expect(try resolvConf == "nameserver 10.64.0.1\n")
    }

    @Test(
        "a resolver that does not answer is told, with the setting that names another; nobody else is asked",
        arguments: [
            ("a.example.org", "VPN", "FORWARDER_DNS_VPN="), ("login.tailscale.com", "uplink", "FORWARDER_DNS_DIRECT="),
        ])
    func silence(name: String, way: String, setting: String) throws {
        let node = try start()
        try lab.internet.nft(
            "table inet silent { chain input { type filter hook input priority 0; udp dport 53 drop; }; }")
        let failure = try code(name)
        #expect(failure.code == "SERVFAIL" && failure.seconds < 6, "\(failure)")
        let finding = try finding()
        #expect(finding.severity == .warning && finding.evidence.contains("over the \(way)"), "\(finding)")
        #expect(finding.remedy?.contains(setting) == true, "\(finding)")
        #expect(try node.ask(["status"]).contains("has answered none of the questions over the \(way), 1 so far"))
        try lab.internet.nft("delete table inet silent")
        #expect(try code(name).code == "NOERROR")
        #expect(try self.finding().severity == .ok)
        #expect(!direct.standardError.contains("example.org") && !vpn.standardError.contains("tailscale.com"))
    }

    private func finding() throws -> DoctorReport.Finding { try #require(try lab.node.doctor()["dns"]) }

    // MARK: Refusals

    private func refused(_ arguments: [String] = []) throws -> String {
        let child = try lab.node.start([Binary.path.path, "run"] + arguments)
        #expect(child.wait(upTo: .seconds(10)) == .exited(69))
        #expect(try lab.node.run(["ip", "rule"]).contains("iif tailscale0") == false, "nothing is left")
        return child.standardError
    }

    @Test(
        "beside a server that has port 53 everywhere, as Gluetun's has, it is refused with the setting that ends that")
    func taken() throws {
        let gluetun = try lab.node.start([
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file", "--user=root",
            "--log-facility=-",
        ])
        try eventually { gluetun.standardError.contains("started") }
        let said = try refused()
        #expect(said.contains("DNS_SERVER=off"), "\(said)")
        #expect(try resolvConf == original)
    }
}
