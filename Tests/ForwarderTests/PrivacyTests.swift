import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// Nobody learns from a log who went where: a node at work between real tunnels, at trace, and then every address, name and
/// key of its lab is looked for in all that it has said.
@Suite(.serialized, .labCanBeBuilt) struct PrivacyTests {
    private let lab: WireGuardLab
    private let file = "/run/forwarder.yaml"
    /// Beside the lab's own: a second client, whom it asks names of, what tailscaled tells.
    private let second = DualStack(v4: "100.64.0.3", v6: "fd7a:115c:a1e0::3")
    private let names = [
        "hidden-name.example.org", "relay77.example.net", "login-host.example.com", "private.example.net",
    ]
    private let advertised = ["0.0.0.0/0", "192.168.77.0/24", "8.0.0.0/7", "2001:db8:77::/48"]

    init() throws {
        lab = try WireGuardLab()
        try lab.node.run(["mkdir", "/run/state"])
    }

    /// Where what stands that must not.
    private func found(_ secrets: [String], in text: String) -> [String] {
        text.split(separator: "\n").flatMap { line in
            secrets.filter { line.lowercased().contains($0.lowercased()) }.map { "\($0) in: \(line)" }
        }
    }

    /// Every address of every host, every key of every tunnel, every name.
    private func secrets() throws -> [String] {
        var secrets = names
        for host in [lab.client, lab.node, lab.isp, lab.server, lab.internet] {
            let words = try host.run(["ip", "-o", "addr"]).split(whereSeparator: \.isWhitespace).map(String.init)
            for (word, address) in zip(words, words.dropFirst()) where ["inet", "inet6", "peer"].contains(word) {
                secrets.append(String(address.prefix { $0 != "/" }))
            }
            secrets += try host.run(["sh", "-c", "for key in private-key peers; do wg show all $key; done"])
                .split(whereSeparator: \.isWhitespace).map(String.init).filter { $0.count == 44 }
        }
        secrets += advertised.map { String($0.prefix { $0 != "/" }) }
        return Array(Set(secrets).subtracting(["127.0.0.1", "::1", "0.0.0.0", "::"]))
    }

    private func settings(_ more: String = "") throws {
        try lab.node.write(
            """
            log: trace
            uplink: eth0
            state_dir: /run/state
            cap: 100MB
            cap.stages: 1% warn, 2% rate 50Mbit/s, 100% stop
            dns_direct: \(lab.internetAddress.v4)
            dns_vpn: \(lab.internetAddress.v4)
            vpn_stale: 2s
            \(more)

            """, to: file)
    }

    private func reload(_ node: ForwarderProcess, _ sign: String) throws {
        let before = node.child.standardError.components(separatedBy: sign).count
        node.child.signal(SIGHUP)
        try eventually { node.child.standardError.components(separatedBy: sign).count > before }
    }

    @Test(
        "a node at trace tells no address, no name and no key, whatever passes, comes, goes and fails",
        arguments: LogFormat.allCases)
    func nothingIsTold(format: LogFormat) throws {
        let relays = #"{"Regions":{"1":{"Nodes":[{"HostName":"\#(names[1])"}]}}}"#
        let tailscaled = try TailscaledStandIn(on: lab.node, .advertising(advertised), relayMap: relays)
        let resolver = try lab.internet.start([
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file", "--user=root",
            "--listen-address=\(lab.internetAddress.v4)", "--bind-interfaces", "--address=/#/203.0.113.99",
        ])
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let secrets = try secrets() + [second.v4, second.v6, "203.0.113.99"]
        #expect(secrets.count > 30, "\(secrets)")
        try settings("dns_direct_names: \(names[3])")
        let node = try ForwarderProcess(
            Binary.path.path, on: lab, ["--config", file, "--log-format", format.rawValue])

        // What clients do, in both families; a second one by the same tunnel.
        lab.cutTailnetTunnel()
        try lab.digTailnetTunnel(allowed: [
            lab.clientAddress.v4 + "/32", lab.clientAddress.v6 + "/128", second.v4 + "/32", second.v6 + "/128",
        ])
        try lab.greetClient()
        try eventually(within: .seconds(20)) { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
        try lab.client.ip("addr add \(second.v4)/32 dev tailscale0\naddr add \(second.v6)/128 dev tailscale0")
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            #expect(try lab.client.ping(address, count: 1) == 1)
            let other = address.contains(":") ? second.v6 : second.v4
            try lab.client.run(["ping", "-n", "-c", "1", "-W", "5", "-I", other, address])
            let client = EchoClient(on: lab.client, to: address)
            #expect(try client.streamReturns(pieces: [1, 60_000]))
            #expect(try client.datagramsSpoiled(sizes: [1, 1200]) == [])
        }
        // Between clients, to nobody, with a hop limit of one; what is refused on the way and by the guard.
        _ = try lab.client.ping("198.18.99.99", count: 1, upTo: 1)
        try attempt(["ping", "-c", "1", "-t", "1", "-W", "1", lab.internetAddress.v4], on: lab.client)
        try attempt(
            ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-I", "eth0", lab.internetAddress.v4], on: lab.node)
        // Names, of both sides; one that nobody answers.
        for name in names { try attempt(["dig", "+tries=1", "+time=3", name], on: lab.node) }
        try attempt(["dig", "+tries=1", "+time=3", "@\(lab.internetAddress.v4)", names[0]], on: lab.client)
        // A stage of the cap.
        try lab.move(4_000_000)
        try eventually(within: .seconds(10)) { node.child.standardError.contains("a stage of the cap begins") }
        // Settings that are taken, and such as are refused.
        try settings("local: 192.168.78.0/24\nvpn_endpoint: 198.51.100.1:51820")
        try reload(node, "settings read again")
        for bad in ["dns_vpn: 203.0.113.10:99", "local: [192.168.79.1/24]", "allow: \(second.v4)", "tailnet: lo"] {
            try settings(bad)
            try reload(node, "the old ones stay")
        }
        try settings()
        try reload(node, "settings read again")
        // tailscaled lies, and is silent.
        tailscaled.behave(.advertising(["203.0.113.10/8", names[2]] + advertised))
        try eventually(within: .seconds(10)) { node.child.standardError.contains("not kept") }
        tailscaled.behave(.hangingUp)
        // resolv.conf is rewritten, and names nobody.
        try lab.node.write("nameserver \(lab.homeAddress.v4)\nsearch \(names[3])\n", to: "/etc/resolv.conf")
        try eventually { node.child.standardError.contains("has rewritten") }
        // A VPN that answers no more, edges and an uplink lost and back, a rule taken away, one put before ours.
        try lab.server.ip("link set wg0 down")
        let pings = try lab.client.start(["ping", "-n", "-i", "0.2", lab.internetAddress.v4])
        try eventually(within: .seconds(20)) { node.child.standardError.contains("is stale") }
        try lab.server.ip("link set wg0 up")
        pings.signal(SIGKILL)
        lab.cutVPNTunnel()
        try eventually { node.child.standardError.contains("waiting for tun0") }
        try lab.digVPNTunnel()
        try lab.cutUplink()
        try eventually { try node.status().edges.uplink == nil }
        try lab.layUplink()
        try eventually { try node.status().edges.uplink != nil }
        try lab.node.run(["ip", "rule", "add", "preference", "80", "to", lab.internetAddress.v4, "lookup", "main"])
        try lab.node.run(["ip", "rule", "add", "preference", "81", "iif", "tailscale0", "lookup", "main"])
        try eventually { node.child.standardError.contains("may route what comes in") }
        lab.cutTailnetTunnel()
        try eventually { node.child.standardError.contains("waiting for tailscale0") }
        // Asked for everything while it works.
        for verb in [["flows", "--reveal"], ["status"], ["quota"], ["health"]] {
            let child = try lab.node.start(ForwarderProcess.command(Binary.path.path) + verb + ["--json"])
            #expect(child.wait(upTo: .seconds(10)) != nil)
        }
        let events = try lab.node.run(
            ForwarderProcess.command(Binary.path.path) + ["status", "--json"])
        #expect(node.stop() == .exited(0))

        let said = node.child.standardError
        #expect(said.split(separator: "\n").count > 20, "\(said)")
        #expect(found(secrets, in: said) == [], "\(said)")
        let object = try JSONSerialization.jsonObject(with: Data(events.utf8)) as? [String: Any]
        let told = try #require(object?["events"] as? [[String: String]])
        #expect(told.count > 10 && told.allSatisfy { Set($0.keys) == ["at", "level", "message"] })
        #expect(found(secrets, in: told.compactMap { $0["message"] }.joined(separator: "\n")) == [])
        if format == .json {
            for line in said.split(separator: "\n") {
                let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
                #expect(object?["time"] != nil && object?["level"] != nil && object?["message"] != nil, "\(line)")
            }
        }
        // The control: what is planted is found.
        for secret in secrets {
            #expect(found(secrets, in: said + "\n2026 info to \(secret):443\n") != [], "\(secret)")
        }
        withExtendedLifetime((resolver, echo)) {}
    }
}

/// Runs what gets no answer, or a refusal: that it is tried is all.
private func attempt(_ arguments: [String], on host: LabHost) throws {
    let child = try host.start(arguments)
    try #require(child.wait(upTo: .seconds(20)) != nil, "\(arguments)")
}
