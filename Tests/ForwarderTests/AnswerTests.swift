import Foundation
import Testing

@testable import Node
@testable import forwarder

@Suite("Answers for a person")
struct AnswerTests {
    @Test(
        "A generated page of docs is what `forwarder print` prints",
        arguments: [("settings", "settings", SettingsReport().text), ("doctor", "probes", ProbesReport().text)])
    func generatedPage(name: String, subject: String, text: String) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/\(name).md"), encoding: .utf8)
        #expect(page == text, "run: forwarder print \(subject) > docs/\(name).md")
        #expect(try Binary.run(["print", subject]).out == page)
    }

    @Test("Findings read from the gravest on, each with what to do, and end with a verdict")
    func doctorText() {
        let fine = DoctorReport.Finding(id: "tun", severity: .ok, evidence: "/dev/net/tun opens", remedy: nil)
        let warned = DoctorReport.Finding(id: "mtu", severity: .warning, evidence: "too large", remedy: "make it less")
        let bad = DoctorReport.Finding(
            id: "vpn", severity: .error, evidence: "tun0 is down", remedy: "ip link set tun0 up")
        #expect(DoctorReport([fine]).text == "ok  tun  /dev/net/tun opens\nforwarder run would forward here\n")
        #expect(
            DoctorReport([fine, warned, bad]).text == """
                error    vpn  tun0 is down
                    next: ip link set tun0 up
                warning  mtu  too large
                    next: make it less
                ok       tun  /dev/net/tun opens
                forwarder run would not forward here: vpn

                """)
        #expect(DoctorReport([warned]).text.hasSuffix("\nforwarder run would forward here; look at mtu\n"))
    }

    @Test("The catalogue as JSON has an entry per setting with all its names")
    func settingsJSON() throws {
        let object = try #require(try Binary.run(["print", "settings", "--json"]).object)
        #expect(object["schema"] as? String == "forwarder.settings/1")
        let entries = try #require(object["settings"] as? [[String: String]])
        #expect(entries.map { $0["key"] } == Setting.catalogue.map(\.key))
        #expect(Set(entries[0].keys) == ["key", "environment", "flag", "default", "example", "meaning"])
    }

    @Test("A running node's status reaches a person through the binary, in both forms")
    func statusThroughTheBinary() throws {
        let path = "/tmp/forwarder-test-\(UUID().uuidString).sock"
        let server = try ControlServer(path: path)
        let ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            server.serve { request throws(Refusal) in
                switch request {
                case .status, .stop, .quota: Self.status
                case .health: HealthReport([])
                case .flows(_, let addresses):
                    FlowsReport(busiest: [Self.flow], total: 12, addresses: addresses)
                case .clients(_, let addresses):
                    ClientsReport(busiest: [Self.client], total: 7, addresses: addresses)
                }
            }
            ended.signal()
        }
        defer {
            server.stop()
            ended.wait()
        }
        let text = try Binary.run(["status", "--control-socket", path])
        #expect(text.code == 0)
        #expect(text.out.contains("flows      3 of 65536 live"))
        let json = try #require(try Binary.run(["status", "--json", "--control-socket", path]).object)
        #expect(json["schema"] as? String == "forwarder.status/1")

        let masked = try Binary.run(["flows", "--control-socket", path]).out
        #expect(masked.contains("100.64.*.*:*") && !masked.contains("100.64.0.9"))
        let revealed = try Binary.run(["flows", "--reveal", "--control-socket", path]).out
        #expect(revealed.contains("100.64.0.9:40000"))
        #expect(revealed.contains("1 of 12 flows"))
        #expect(try Binary.run(["clients", "--control-socket", path]).out.contains("1 of 7 clients"))
    }

    @Test("Clients are listed with what they moved, and those that are known only together come last")
    func clientsText() {
        var report = ClientsReport(
            busiest: [Self.client],
            others: .init(
                flows: 9, egressPackets: 1, egressBytes: 2_000, ingressPackets: 1, ingressBytes: 0), total: 2,
            addresses: .revealed, since: .now.addingTimeInterval(-90))
        report.clients.append(Self.client)
        report.clients[1].client = "100.64.0.10"
        report.clients[1].name = nil
        #expect(
            report.text == """
                client       name    flows  live  egress  ingress      known  idle
                100.64.0.9   laptop      3     1  1.5 kB   3.0 kB  1 min 1 s   5 s
                100.64.0.10              3     1  1.5 kB   3.0 kB  1 min 1 s   5 s
                others                   9        2.0 kB      0 B

                1 of 2 clients, counted for 1 min 30 s

                """, "\(report.text)")
        let masked = ClientsReport(busiest: [Self.client], total: 1, addresses: .masked)
        #expect(
            masked.text == """
                    client  flows  live  egress  ingress      known  idle
                100.64.*.*      3     1  1.5 kB   3.0 kB  1 min 1 s   5 s

                1 of 1 clients, masked (--reveal shows who)

                """, "\(masked.text)")
        var silent = ClientsReport(busiest: [], total: 0, addresses: .revealed)
        silent.note = "no names, for tailscaled does not tell: no"
        #expect(silent.text == "0 of 0 clients\nnote: no names, for tailscaled does not tell: no\n")
    }

    @Test("A second look tells rates, and none where a count began anew")
    func rates() {
        let earlier = ClientsReport(busiest: [Self.client], total: 1, addresses: .revealed)
        var later = earlier
        later.clients[0].egressBytes += 4_000
        later.clients[0].ingressBytes += 10
        let text = later.text(since: (earlier, 2))
        #expect(text.contains("egress/s  ingress/s"), "\(text)")
        #expect(text.contains("  2.0 kB/s      5 B/s  "), "\(text)")
        // A node that has started again.
        later.clients[0].ingressBytes = 10
        #expect(!later.text(since: (earlier, 2)).contains("B/s"))
        let masked = ClientsReport(busiest: [Self.client], total: 1, addresses: .masked)
        #expect(masked.text(since: (masked, 2)).contains("0 B/s"))

        let flows = FlowsReport(busiest: [Self.flow], total: 1, addresses: .revealed)
        var laterFlows = flows
        laterFlows.flows[0].egressBytes += 1_000
        #expect(laterFlows.text(since: (flows, 0.5)).contains("2.0 kB/s"))
        #expect(!laterFlows.text(since: (flows, 0)).contains("B/s "))
        laterFlows.flows[0].clientPort = 40_001
        #expect(!laterFlows.text(since: (flows, 1)).contains("B/s "), "another flow")
        #expect(Rated(subject: 0, egress: .infinity).columns == ["1000000.0 TB/s", ""])
    }

    @Test("Status reads as lines of facts, then what was forwarded, then what was dropped")
    func statusText() {
        var report = Self.status
        report.startedAt = .now.addingTimeInterval(-3_725)
        report.guard = .init(
            mode: .on, interfaces: ["eth0"],
            refused: [
                "client_dns": .init(packets: 2, bytes: 140), "forwarded": .init(),
                "unmarked": .init(packets: 3, bytes: 180),
            ])
        #expect(
            report.text == """
                state      waiting for tun0
                up         1 h 2 min
                node       version \(Node.version), process 42
                io         poll: io_uring is refused here
                edges      tailnet tailscale0 (layer3), no vpn, no uplink
                ports      fwd-in (offloads all), fwd-out (offloads no_uso)
                leaves by  198.51.100.7
                local      none
                control    by tailscaled's own mark (why: forwarder doctor)
                guard      on at eth0; refused: unmarked 3, client_dns 2
                flows      3 of 65536 live
                           7 opened, 3 expired, 1 evicted
                bindings   3 of 16384 in use

                forwarded  packets    bytes  super-packets
                egress          10  12.3 MB              2
                ingress          0      0 B              0

                dropped       packets
                no_binding          4
                bad_checksum        1

                """)
        report.guard?.refused = [:]
        #expect(report.text.contains("guard      on at eth0; refused: nothing\n"))
        report.guard = .init(
            mode: .observe, interfaces: [], refused: ["unmarked": .init(packets: 1, bytes: 60)],
            leaked: .init(packets: 1, bytes: 60))
        #expect(report.text.contains("guard      only observes at no uplink: 1 packets leaked (unmarked 1)\n"))
    }

    @Test("Status tells whether the VPN answers, and by what its own packets are known")
    func statusOfATunnel() {
        var report = Self.status
        report.vpn = .init(state: .stale, since: .now.addingTimeInterval(-65))
        report.vpn?.because = "nothing came back"
        report.vpn?.lastHandshake = .now.addingTimeInterval(-250)
        report.vpn?.fwmark = 51_820
        report.vpn?.endpoints = ["198.51.100.1:51820"]
        #expect(
            report.text.contains(
                """
                vpn        stale for 1 min 5 s: nothing came back, last handshake 4 min 10 s ago
                           its own packets: mark 51820, to 198.51.100.1:51820
                leaves by
                """), "\(report.text)")
        report.vpn = .init(state: .up, since: .now)
        #expect(report.text.contains("vpn        up for 0 s\n           its own packets: not known\n"))
    }

    @Test("Status tells what is used of the cap, what clients get, and what waits")
    func statusOfACap() {
        var report = Self.status
        report.cap = .init(limitBytes: 35_000_000_000, usedBytes: 12_345_678, periodEnd: .now)
        #expect(report.text.contains("\ncap        12.3 MB of 35.0 GB used\n"), "\(report.text)")
        report.cap?.stage = "80% warn"
        #expect(report.text.contains(" used; 80% warn: clients not limited\n"))
        report.cap?.stage = "95% rate 512kbit/s"
        report.cap?.rateBitPerS = 512_000
        report.cap?.queue = [
            "egress": .init(waitingPackets: 2, delayMeanMs: 3.2),
            "ingress": .init(waitingPackets: 40, delayMeanMs: 17.8, delayLongestMs: 90),
        ]
        #expect(
            report.text.contains(
                " used; 95% rate 512kbit/s: clients 512000 bit/s each way; 42 packets wait, some 18 ms\n"))
        report.cap?.rateBitPerS = 0
        report.cap?.queue = [:]
        #expect(report.text.contains(": clients stopped\n"))
        report.cap?.stage = nil
        report.cap?.limitBytes = nil
        #expect(report.text.contains("\ncap        12.3 MB used, not capped until the period ends\n"))
    }

    @Test("Status tells of errors that were sent, of clients that met here, and of flows that were flushed")
    func statusOfARouter() {
        var report = Self.status
        report.errors = .init(sent: ["time_exceeded": 3, "packet_too_big": 12, "no_route": 0], suppressed: 7)
        report.forwarded.hairpin = .init(packets: 5, bytes: 500)
        report.flows.flushed = 2
        #expect(
            report.text.hasSuffix(
                """
                hairpin          5    500 B              0

                dropped       packets
                no_binding          4
                bad_checksum        1

                answered        errors
                packet_too_big      12
                suppressed           7
                time_exceeded        3

                """))
        #expect(report.text.contains("7 opened, 3 expired, 1 evicted, 2 flushed"))
    }

    @Test(
        "A look on a terminal is no higher and no wider than its window", arguments: [(24, 80), (3, 5), (1, 1), (0, 0)])
    func picture(rows: Int, columns: Int) {
        let text = (0..<50).map { "line \($0) " + String(repeating: "x", count: 100) }.joined(separator: "\n")
        let picture = Output.picture(of: text, rows: rows, columns: columns)
        #expect(picture.hasPrefix("\u{1b}[H") && picture.hasSuffix("\u{1b}[J"))
        let lines = picture.dropFirst(3).dropLast(3).split(separator: "\n")
        #expect(lines.count == max(1, rows - 1))
        #expect(lines.allSatisfy { $0.hasSuffix("\u{1b}[K") && $0.count - 3 == max(0, columns - 1) })
        #expect(Output.picture(of: "a\n\nb\n", rows: 24, columns: 80).contains("a\u{1b}[K\n\u{1b}[K\nb\u{1b}[K\n"))
    }

    @Test("Columns of numbers stand to the right, others to the left, nothing trails")
    func table() {
        #expect(
            textTable([["name", "count", "note"], ["a", "1", "x"], ["long name", "1000", ""]]) == """
                name       count  note
                a              1  x
                long name   1000

                """)
    }

    @Test(
        "Bytes are told in the largest unit of which there is one",
        arguments: [
            (0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (999_999, "999.9 kB"), (1_000_000, "1.0 MB"),
            (35_000_000_000, "35.0 GB"), (UInt64.max, "18446744.0 TB"),
        ] as [(UInt64, String)])
    func bytes(count: UInt64, text: String) {
        #expect(bytesText(count) == text)
    }

    @Test(
        "Spans of time are told in their two largest units, and never as less than nothing",
        arguments: [(-5, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min"), (90_000, "1 d 1 h")])
    func durations(seconds: Int, text: String) {
        #expect(durationText(seconds: seconds) == text)
    }

    private static var status: StatusReport {
        var report = StatusReport(
            state: .waiting, io: .poll, ioReason: "io_uring is refused here",
            flows: .init(live: 3, capacity: 65_536, opened: 7, evicted: 1, expired: 3),
            bindings: .init(inUse: 3, capacity: 16_384), startedAt: .now, pid: 42)
        report.waitingFor = ["tun0"]
        report.edges.tailnet = .init(name: "tailscale0", index: 4, kind: .layer3)
        report.exitAddresses.v4 = "198.51.100.7"
        report.ports = .init(
            inside: .init(name: "fwd-in", offloads: .all), outside: .init(name: "fwd-out", offloads: .noUSO))
        report.forwarded.egress = .init(packets: 10, bytes: 12_345_678, superPackets: 2)
        report.drops = ["no_binding": 4, "bad_checksum": 1, "never": 0]
        return report
    }

    private static var client: ClientsReport.Client {
        .init(
            client: "100.64.0.9", name: "laptop", flows: 3, flowsLive: 1, egressPackets: 1, egressBytes: 1_500,
            ingressPackets: 2, ingressBytes: 3_000, firstSeen: .now.addingTimeInterval(-61),
            lastSeen: .now.addingTimeInterval(-5))
    }

    private static var flow: FlowsReport.Flow {
        .init(
            transport: "tcp", client: "100.64.0.9", clientPort: 40_000, remote: "203.0.113.5", remotePort: 443,
            outsidePort: 16_384, state: "established", egressPackets: 1, egressBytes: 1_500, ingressPackets: 2,
            ingressBytes: 3, firstSeen: .now, lastSeen: .now)
    }
}
