import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// The Prometheus of `examples/compose.prometheus.yaml`, with the files and the command that stand there, as the image's
/// user: in the namespace of a node, with Gluetun's rules and Tailscale's around it.
@Suite(.serialized, .labCanBeBuilt, .prometheusIsThere) struct PrometheusExampleTests {
    /// Panels of a cap, and of what need not happen.
    private static let empty: Set = [
        "Cap used", "Cap projected", "Used of the cap", "Wait behind the cap", "Dropped, by the reason",
    ]

    private let lab: WireGuardLab
    private let neighbour: LabHost
    private let recipe: Compose.Service

    init() throws {
        lab = try WireGuardLab()
        neighbour = try lab.houseNeighbour()
        recipe = try #require(try Compose(file: "compose.prometheus.yaml").services["prometheus"])
        let rules = try String(contentsOf: Compose.folder.appending(path: "post-rules.txt"), encoding: .utf8)
        let lines = rules.split(separator: "\n").filter { !$0.hasPrefix("#") }
        _ = try lab.layForeignRules(postRules: lines.joined(separator: "\n"))
        // What it mounts, where it mounts it, over what this machine has there.
        try lab.node.run(["mount", "-t", "tmpfs", "tmpfs", "/etc/prometheus"])
        for volume in try #require(recipe.volumes) where volume.hasPrefix(".") {
            let ends = volume.split(separator: ":").map(String.init)
            let text = try String(contentsOf: Compose.folder.appending(path: ends[0]).standardized, encoding: .utf8)
            try lab.node.run(["tee", ends[1]], input: text)
        }
        try lab.node.run(["install", "-d", "-o", "65534", "/run/prometheus"])
    }

    /// Started by its own command, but for the place of its data and what `changed` says.
    private func prometheus(_ changed: [String: String] = [:]) throws -> ChildProcess {
        let command = try #require(recipe.command).map {
            changed[$0] ?? $0.replacing("=/prometheus", with: "=/run/prometheus")
        }
        return try lab.node.start(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
                + ["prometheus"] + command)
    }

    /// What promtool, which is in the image as well, is told where the Prometheus is.
    private func query(_ expression: String) throws -> String {
        try lab.node.run(["promtool", "query", "instant", "http://127.0.0.1:9090", expression], upTo: .seconds(60))
    }

    private func isReached(from host: LabHost, at address: String) -> Bool {
        (try? host.run(["curl", "--silent", "--fail", "--max-time", "2", "http://\(address):9090/-/ready"])) != nil
    }

    @Test("promtool finds its configuration good, the rules and alerts in it too")
    func configuration() throws {
        let told = try lab.node.run(
            ["promtool", "check", "config", "/etc/prometheus/prometheus.yml"], upTo: .seconds(60))
        #expect(told.contains("SUCCESS: 2 rule files found") && told.contains("is valid prometheus config"), "\(told)")
    }

    @Test("it scrapes the node past Gluetun's firewall and the guard, nothing of it leaves, and nobody else reaches it")
    func scrapes() throws {
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        let uplink = try Observer(on: lab.isp, interface: "node0")
        let server = try prometheus()
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        // A machine's disk may be slow, and it scrapes every 15 seconds.
        try eventually(within: .seconds(120)) { (try? query(#"up{job="forwarder"}"#))?.contains("=> 1 @") == true }
        try eventually(within: .seconds(60)) { try query("forwarder:flows_used:ratio").contains("=>") }
        #expect(try query(#"forwarder_check{check="separation"}"#).contains("=> 1 @"))
        // What the dashboard asks for is understood, and told where this node, on which nothing is capped, has it to tell.
        // A rate takes two scrapes.
        let panels = try Dashboard.read().panels
        var empty: [String] = []
        try? eventually(within: .seconds(90)) {
            empty = try panels.filter { try $0.targets.allSatisfy { try query($0.meant).isEmpty } }.map(\.title)
            return Self.empty.isSuperset(of: empty)
        }
        #expect(Self.empty.isSuperset(of: empty), "\(empty)")
        #expect(try query("forwarder_check").split(separator: "\n").count == HealthReport.Check.allCases.count)

        #expect(!isReached(from: lab.client, at: lab.nodeAddress.v4))
        #expect(!isReached(from: neighbour, at: "192.168.7.2"))
        let home = lab.homeAddress.v4
        // Whoever asks the closed port is told so: that is the neighbour's own link.
        let strangers = uplink.stop().strangers(besides: [
            (home, "198.51.100.1"), (home, lab.clientUnderlay), ("192.168.7.2", WireGuardLab.neighbourAddress.v4),
        ])
        #expect(strangers.isEmpty && uplink.missed == 0, "\(strangers)")

        // What it begins itself, as to an Alertmanager, leaves by the VPN, and reaches nobody beside the node.
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let seen = try EchoClient(on: lab.node, to: lab.internetAddress.v4).endpointSeenOverTCP()
        #expect(seen.hasPrefix("\(lab.seenAddress.v4):"), "\(seen)")
        #expect(try lab.node.ping(WireGuardLab.neighbourAddress.v4, count: 1, upTo: 1) == 0)
        withExtendedLifetime((node, server, echo)) {}
    }

    @Test("listening everywhere, it is reached from the tailnet, and by eth0 only where the guard is told so")
    func reached() throws {
        let everywhere = ["--web.listen-address=127.0.0.1:9090": "--web.listen-address=0.0.0.0:9090"]
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        let server = try prometheus(everywhere)
        try eventually(within: .seconds(120)) { isReached(from: lab.node, at: "127.0.0.1") }
        #expect(isReached(from: lab.client, at: lab.nodeAddress.v4))
        #expect(!isReached(from: neighbour, at: "192.168.7.2"))
        node.stop()
        let told = try ForwarderProcess(Binary.path.path, on: lab, ["--allow", "tcp/9090"])
        #expect(isReached(from: neighbour, at: "192.168.7.2"))
        #expect(isReached(from: lab.client, at: lab.nodeAddress.v4))
        withExtendedLifetime((told, server)) {}
    }
}

/// What the tests read of `contrib/grafana/forwarder.json`.
private struct Dashboard: Decodable {
    struct Panel: Decodable {
        struct Target: Decodable {
            let expr: String

            /// As Grafana sends it for all nodes.
            var meant: String {
                expr.replacing("$instance", with: ".*").replacing("$__rate_interval", with: "1m")
            }
        }
        let title: String
        let targets: [Target]
    }

    let panels: [Panel]

    static func read() throws -> Dashboard {
        let file = Compose.folder.appending(path: "../contrib/grafana/forwarder.json").standardized
        return try JSONDecoder().decode(Dashboard.self, from: Data(contentsOf: file))
    }
}
