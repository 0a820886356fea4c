import Foundation
import Lab
import LinuxSystem
import Metrics
import TestSupport
import Testing

@testable import Node

/// What a node tells over HTTP, to real readers and to hostile ones.
@Suite(.serialized, .labCanBeBuilt) struct MetricsTests {
    private static let endpoint = "127.0.0.1:10586"

    private func start(_ lab: any Lab, _ arguments: [String] = []) throws -> ForwarderProcess {
        try ForwarderProcess(Binary.path.path, on: lab, ["--dns", "off"] + arguments)
    }

    /// The body of an answer, and its status behind it on a line of its own.
    private func ask(_ node: LabHost, _ path: String, _ fields: String..., at place: String = endpoint) throws -> String
    {
        try node.run(
            ["curl", "--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"]
                + fields.flatMap { ["--header", $0] } + ["http://\(place)\(path)"])
    }

    private func series(_ text: String) -> [Substring] {
        text.split(separator: "\n").filter { !$0.hasPrefix("#") && $0.contains(" ") }
    }

    private func value(_ name: String, in text: String) -> Double? {
        text.split(separator: "\n").first { $0.hasPrefix(name + " ") }.flatMap { Double($0.dropFirst(name.count + 1)) }
    }

    // MARK: What is told

    @Test("what is told is what was counted, and Prometheus' own linter finds nothing to say", .prometheusIsThere)
    func counts() throws {
        let lab = try PlainLab()
        let node = try start(lab)
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(try lab.client.ping(lab.internetAddress.v6) == 3)
        let text = try ask(lab.node, "/metrics")
        #expect(text.hasSuffix("\n200"))
        let icmp = #"forwarder_forwarded_packets_total{direction="egress",family="ipv4",protocol="icmp"}"#
        #expect(value(icmp, in: text) == 3, "\(text)")
        #expect(value(#"forwarder_state{state="forwarding"}"#, in: text) == 1)
        #expect(value("forwarder_opened_flows_total", in: text) == 2)
        #expect((value("process_resident_memory_bytes", in: text) ?? 0) > 1e6)
        #expect((value("forwarder_loop_cpu_seconds_total", in: text) ?? 0) > 0)
        let lint = try lab.node.run(
            ["promtool", "check", "metrics"], input: String(text.dropLast(3)), upTo: .seconds(90))
        #expect(lint.isEmpty, "\(lint)")
        let open = try ask(lab.node, "/metrics", "Accept: application/openmetrics-text; version=1.0.0")
        #expect(open.contains("# TYPE forwarder_opened_flows counter\n") && open.contains("\n# EOF\n"))
        withExtendedLifetime(node) {}
    }

    @Test("every family that a capped node on a tunnel can tell is told, and is in the catalogue")
    func families() throws {
        let lab = try WireGuardLab()
        try lab.node.run(["mkdir", "/run/state"])
        let node = try ForwarderProcess(
            Binary.path.path, on: lab,
            ["--cap", "1GB", "--cap-stages", "1B rate 10Mbit/s, 100% stop", "--state-dir", "/run/state"])
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        // The stage holds from the next look on, and the tunnel is asked now and then.
        func metrics() throws -> String { try ask(lab.node, "/metrics") }
        try eventually(within: .seconds(30)) {
            let text = try metrics()
            return value("forwarder_cap_stage", in: text) == 1 && text.contains("forwarder_vpn_last_handshake")
        }
        let text = try metrics()
        let told = Set(
            text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { "\($0.split(separator: " ")[2])" })
        let known = Set(Metric.catalogue.map(\.family.sampleName))
        #expect(told.subtracting(known).isEmpty)
        #expect(known.subtracting(told).isEmpty, "not told: \(known.subtracting(told))")
        #expect(value("forwarder_cap_rate_bytes_per_second", in: text) == 1_250_000)
        #expect(series(text).count <= Metric.seriesLimit)
        withExtendedLifetime(node) {}
    }

    @Test("Prometheus scrapes it, finds its rules good, and knows what was forwarded", .prometheusIsThere)
    func prometheus() throws {
        let lab = try PlainLab()
        let node = try start(lab)
        let rules = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../contrib/prometheus")
            .standardized
        try lab.node.run(
            ["tee", "/run/prometheus.yml"],
            input: """
                global: {scrape_interval: 1s, evaluation_interval: 1s}
                rule_files: [\(rules.path)/forwarder.rules.yml, \(rules.path)/forwarder.alerts.yml]
                scrape_configs: [{job_name: forwarder, static_configs: [{targets: ["\(Self.endpoint)"]}]}]
                """)
        let server = try lab.node.start([
            "prometheus", "--config.file=/run/prometheus.yml", "--storage.tsdb.path=/run/prometheus",
            "--web.listen-address=127.0.0.1:9090", "--log.level=warn",
        ])
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        func query(_ expression: String) throws -> String {
            try lab.node.run([
                "curl", "--silent", "--get", "--data-urlencode", "query=\(expression)",
                "http://127.0.0.1:9090/api/v1/query",
            ])
        }
        // Its own disk may be slow.
        try eventually(within: .seconds(90)) {
            (try? query(#"sum(forwarder_forwarded_packets_total{protocol="icmp"})"#))?.contains(#","6"]"#) == true
        }
        #expect(try query(#"up{job="forwarder"}"#).contains(#","1"]"#))
        try eventually(within: .seconds(30)) { try query("forwarder:flows_used:ratio").contains(#""value""#) }
        withExtendedLifetime((node, server)) {}
    }

    @Test("a million flows to random places add no series, and none of them can be read there")
    func privacy() throws {
        let lab = try PlainLab()
        let node = try start(lab)
        let before = series(try ask(lab.node, "/metrics")).count
        let places = (0..<(isSoak ? 20 : 2)).map { "203.0.113.\(20 + $0)" }
        for place in places { try lab.client.sendDatagrams(to: place, ports: 1...65_535) }
        #expect(try lab.client.ping(lab.internetAddress.v6) == 3)
        let text = try ask(lab.node, "/metrics")
        let opened = value("forwarder_opened_flows_total", in: text) ?? 0
        // Some wait for the loop until there is no more room.
        #expect(opened > Double(places.count) * 50_000, "\(opened)")
        #expect(series(text).count == before && before <= Metric.seriesLimit)
        let addresses = [lab.clientAddress, lab.nodeAddress, lab.exitAddress, lab.internetAddress].flatMap {
            [$0.v4, $0.v6]
        }
        for address in addresses + places { #expect(!text.contains(address), "\(address)") }
        #expect(text.firstMatch(of: /[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/) == nil)
        withExtendedLifetime(node) {}
    }

    @Test("each alert is raised by what it is for, and by nothing else", .prometheusIsThere)
    func alerts() throws {
        let rules = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../contrib/prometheus")
        let promtool = try ChildProcess(["promtool", "test", "rules", rules.appending(path: "forwarder.test.yml").path])
        #expect(promtool.wait(upTo: .seconds(90)) == .exited(0), "\(promtool.standardOutput) \(promtool.standardError)")
    }

    // MARK: Bad days

    @Test("an address that is taken is told, packets pass, and once it is free it is taken")
    func taken() throws {
        let lab = try PlainLab()
        let squatter = try lab.node.start(["python3", "-m", "http.server", "--bind", "127.0.0.1", "10586"])
        try eventually(within: .seconds(30)) { (try? ask(lab.node, "/")) != nil }
        let node = try start(lab)
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        let told = "127.0.0.1:10586 cannot be listened on: Address already in use"
        let notes = try node.status().notes
        #expect(notes.contains { $0.contains(told) }, "\(notes)")
        #expect(node.child.standardError.contains("\(told); next: name another port"))
        squatter.terminate()
        try eventually(within: .seconds(30)) { (try? ask(lab.node, "/healthz"))?.hasSuffix("\n200") == true }
        #expect(try node.status().notes.allSatisfy { !$0.contains("cannot be listened on") })
    }

    @Test("elsewhere than on loopback only with a token; one that others may read is refused until they may not")
    func token() throws {
        let lab = try PlainLab()
        let bare = try Binary.run(["run", "--admin-listen", "0.0.0.0:10586"])
        #expect(bare.code == 64 && bare.err.contains("add --admin-token-file"), "\(bare.err)")
        let secret = "0123456789abcdef0123456789abcdef"
        try lab.node.run(["tee", "/run/token"], input: secret + "\n")
        try lab.node.run(["chmod", "644", "/run/token"])
        let place = "\(lab.nodeAddress.v4):10586"
        let node = try start(lab, ["--admin-listen", place, "--admin-token-file", "/run/token"])
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(try node.status().notes.contains { $0.contains("/run/token may be read or written by others") })
        #expect((try? ask(lab.client, "/metrics", at: place)) == nil, "nobody listens")
        try lab.node.run(["chmod", "600", "/run/token"])
        try eventually(within: .seconds(30)) { (try? ask(lab.client, "/metrics", at: place)) != nil }
        #expect(try ask(lab.client, "/metrics", at: place).hasSuffix("\n401"))
        #expect(try ask(lab.client, "/metrics", "Authorization: Bearer \(secret)x", at: place).hasSuffix("\n401"))
        #expect(try ask(lab.client, "/metrics", "Authorization: Bearer \(secret)", at: place).hasSuffix("\n200"))
        let log = node.child.standardError
        #expect(log.contains("refused_peer=\(lab.clientAddress.v4)"), "the one address that is told: \(log)")
        #expect(!log.contains(secret))
    }

    @Test("at SIGHUP the endpoint moves, also while it is asked without a pause")
    func move() throws {
        let lab = try PlainLab()
        func write(_ port: Int) throws {
            try lab.node.run(["tee", "/run/forwarder.yaml"], input: "admin_listen: 127.0.0.1:\(port)\n")
        }
        try write(10_586)
        let node = try start(lab, ["--config", "/run/forwarder.yaml"])
        let crowd = try lab.node.start([
            "sh", "-c",
            "while :; do for port in 10586 10587; do curl -s -m 2 http://127.0.0.1:$port/readyz; done; done",
        ])
        for port in [10_587, 10_586, 10_587] {
            try write(port)
            node.child.signal(SIGHUP)
            try eventually(within: .seconds(30)) {
                (try? ask(lab.node, "/metrics", at: "127.0.0.1:\(port)"))?.hasSuffix("\n200") == true
            }
            let former = 2 * 10_586 + 1 - port
            #expect((try? ask(lab.node, "/metrics", at: "127.0.0.1:\(former)")) == nil, "nobody listens there any more")
        }
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        crowd.terminate()
    }

    @Test("healthz and readyz answer as the verb does, each with its reasons")
    func health() throws {
        let lab = try WireGuardLab()
        let node = try start(lab, ["--uplink", "eth0"])
        let well = try ask(lab.node, "/readyz")
        #expect(well.hasSuffix("\n200") && well.contains(#""schema":"forwarder.health/1""#), "\(well)")
        lab.cutVPNTunnel()
        try eventually(within: .seconds(20)) { try ask(lab.node, "/readyz").hasSuffix("\n503") }
        #expect(try ask(lab.node, "/readyz").contains(#""code":"waiting""#))
        #expect(try ask(lab.node, "/healthz").hasSuffix("\n200"))
        #expect(try ask(lab.node, "/else").hasSuffix("\n404"))
        withExtendedLifetime(node) {}
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips with a sentence where Prometheus is not installed.
    static var prometheusIsThere: Self {
        .enabled(
            if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prometheus"),
            "needs Prometheus (apt-get install prometheus)")
    }
}
