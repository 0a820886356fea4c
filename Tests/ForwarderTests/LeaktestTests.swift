import Foundation
import Lab
import TestSupport
import Testing

@testable import forwarder

/// The verb's answer, and the judgement behind it.
struct LeaktestReportTests {
    private static func row(
        _ state: String = "up", _ flow: String = "client TCP 443", probes: Int = 2, expected: Place = .vpn,
        uplink: Int = 0, vpn: Int = 2, leaked: Int = 0
    ) -> LeaktestReport.Row {
        .init(
            state: state, flow: flow, probes: probes, expected: expected, uplink: uplink, vpn: vpn, leaked: leaked)
    }

    private static func report(
        _ rows: [LeaktestReport.Row] = [row()], controlSeen: Bool = true, recoveries: [Double] = [5],
        notRecovered: Int = 0
    ) -> LeaktestReport {
        .init(rows, positiveControlSeen: controlSeen, recoveries: recoveries, notRecovered: notRecovered)
    }

    @Test("it is well only if nothing leaked and the control was seen")
    func verdict() {
        #expect(Self.report().ok)
        #expect(!Self.report([Self.row(uplink: 1, leaked: 1)]).ok)
        #expect(!Self.report(controlSeen: false).ok)
        #expect(
            Self.report().text.hasSuffix(
                "\nNothing leaked: 2 probes; traffic came back within 5 ms, 99 of 100 times within 5 ms.\n"))
        let leaking = Self.report([Self.row(uplink: 1, leaked: 3)]).text
        #expect(
            leaking.contains("Leaked:\n  3  client TCP 443, up\n")
                && leaking.contains("It LEAKS: 3 packets of 2 probes"))
        #expect(
            Self.report(controlSeen: false).text.hasSuffix("\nThe control saw nothing: this test proves nothing.\n"))
        #expect(Self.report(notRecovered: 2).text.contains("after 2 faults it did not come back"))
    }

    @Test("repetitions are added up, row by row, and the stream is not among the probes")
    func sums() {
        let stream = Self.row("up", Ledger.chatter, probes: 400, vpn: 390)
        let stray = Self.row("up", Ledger.strays, probes: 1, expected: .nowhere, uplink: 1, vpn: 0, leaked: 1)
        let report = Self.report([
            Self.row(), stream, Self.row("killed", expected: .nowhere, vpn: 0), Self.row(vpn: 1), stray,
        ])
        #expect(report.rows.count == 4)
        #expect(report.rows[0] == Self.row(probes: 4, vpn: 3))
        #expect(report.probes == 6 && report.leaked == 1)
        #expect(
            report.text.hasPrefix(
                """
                state   probes  uplink  vpn  lost  stream  leaked
                up           4       0    3     1     400       1
                killed       2       0    0     0       0       0

                """), "\(report.text)")
    }

    @Test("of the times to recover, half and ninety-nine of a hundred are within the figures told")
    func percentiles() {
        let recovery = Self.report(recoveries: (1...200).map(Double.init).shuffled()).recoveryMs
        #expect(recovery == .init(p50: 100, p99: 198))
        #expect(Self.report(recoveries: [7]).recoveryMs == .init(p50: 7, p99: 7))
        #expect(Self.report(recoveries: []).recoveryMs == nil)
    }

    @Test("scripts find their keys")
    func keys() throws {
        let json = try JSONSerialization.jsonObject(with: Self.report().json()) as? [String: Any]
        let answer = try #require(json)
        #expect(answer["schema"] as? String == "forwarder.leaktest/1")
        #expect(answer["probes"] as? Int == 2 && answer["leaked"] as? Int == 0)
        #expect(answer["positive_control_seen"] as? Bool == true)
        #expect((answer["recovery_ms"] as? [String: Double]) == ["p50": 5, "p99": 5])
        let row = try #require((answer["rows"] as? [[String: Any]])?.first)
        #expect(Set(row.keys) == ["state", "flow", "probes", "expected", "uplink", "vpn", "leaked"])
        #expect(row["expected"] as? String == "vpn")
    }

    @Test("no client is expected on the uplink in any state, and Tailscale's own on the VPN only where nobody marks it")
    func expectations() {
        #expect(Set(Condition.all.map(\.state)).count == Condition.all.count)
        for circumstances in Condition.all.map(\.circumstances) + [.init(), .init(node: .guarded)] {
            for flow in Flow.all {
                switch flow.kind {
                case .control, .controlNames: #expect(circumstances.place(of: flow) != .vpn)
                case .unmarkedControl:
                    let isMarked = [.running, .frozen].contains(circumstances.node) && circumstances.tailnetIsUp
                    #expect(!isMarked || circumstances.place(of: flow) != .vpn)
                case .impostor, .unsolicited: #expect(circumstances.place(of: flow) == .nowhere)
                case .client, .names, .markedNames, .stubNames: #expect(circumstances.place(of: flow) != .uplink)
                }
            }
        }
        let probes = Flow.all.reduce(0) { $0 + $1.families.count }
        #expect(probes * (3 + Condition.all.count) > 500)
    }
}

@Suite(.serialized, .labCanBeBuilt) struct LeaktestTests {

    @Test("in a lab of its own nothing leaks, and the control does")
    func lab() throws {
        // All states a hundred times take an hour.
        let states = "up,vpn_deleted,killed,killed_tailnet_recreated_all_open"
        let extent = isSoak ? ["--repeat", "100"] : ["--states", states]
        let ending = try Binary.run(["leaktest", "--json"] + extent)
        let answer = try #require(ending.object, "\(ending.err)")
        #expect(answer["positive_control_seen"] as? Bool == true)
        let (probes, times) = (answer["probes"] as? Int ?? 0, answer["recovery_ms"] as? [String: Double] ?? [:])
        print("leaktest: \(probes) probes, \(answer["leaked"] as? Int ?? -1) leaked, recovery in ms \(times)")
        let rows = try #require(answer["rows"] as? [[String: Any]])
        let leaks = rows.filter { $0["leaked"] as? Int != 0 }
        #expect(answer["leaked"] as? Int == 0 && ending.code == 0, "\(leaks)")
        let control = rows.filter { $0["state"] as? String == "guard_off" && $0["expected"] as? String == "uplink" }
        #expect(control.count > 20 && control.allSatisfy { ($0["uplink"] as? Int ?? 0) > 0 }, "\(control)")
        // And what is to arrive does, or an absence would prove nothing.
        let up = rows.filter { $0["state"] as? String == "up" && $0["expected"] as? String != "nowhere" }
        #expect(up.allSatisfy { ($0["uplink"] as? Int ?? 0) + ($0["vpn"] as? Int ?? 0) > 0 }, "\(up)")
        let recovery = try #require(answer["recovery_ms"] as? [String: Double])
        if isSoak { #expect(recovery["p99"] ?? .infinity < 1000) }
        #expect(answer["not_recovered"] as? Int == 0)
    }

    @Test("a guard that only observes is found leaking")
    func observing() throws {
        let ending = try Binary.run(["leaktest", "--json", "--states", "killed", "--with", "guard=observe"])
        let answer = try #require(ending.object, "\(ending.err)")
        #expect(ending.code == 1)
        #expect(try #require(answer["leaked"] as? Int) > 0)
        #expect(answer["positive_control_seen"] as? Bool == true)
    }

    @Test("an interrupted test ends at once and leaves nothing behind")
    func interrupted() throws {
        let ending = try Binary.shell(
            """
            export PATH=$PATH:/usr/sbin:/sbin
            $forwarder leaktest --json & test=$!
            sleep 3; kill -INT $test; wait $test; code=$?
            ls -d /sys/fs/cgroup/forwarder-*-$test-* 2>/dev/null; exit $code
            """)
        #expect(ending.code == 69)
        #expect(ending.object != nil && ending.out.contains("interrupted"), "\(ending.out)")
    }

    @Test("a watch of a running node sends nothing, sees its tunnels leave, and finds a client's packet on the uplink")
    func live() throws {
        let lab = try WireGuardLab()
        var node = try ForwarderProcess(Binary.path.path, on: lab)
        func watch(_ meanwhile: () throws -> Void) throws -> (code: Int32?, answer: [String: Any]) {
            let child = try lab.node.start([Binary.path.path, "leaktest", "--live", "--json", "--seconds", "2"])
            usleep(1_000_000)
            try meanwhile()
            let ending = child.wait(upTo: .seconds(20))
            let object = try JSONSerialization.jsonObject(with: Data(child.standardOutput.utf8)) as? [String: Any]
            let code: Int32? = if case .exited(let code) = ending { code } else { nil }
            return (code, try #require(object, "\(child.standardError)"))
        }

        func count(_ flow: String, _ answer: [String: Any]) -> Int? {
            let row = (answer["rows"] as? [[String: Any]])?.first { $0["flow"] as? String == flow }
            return row?["probes"] as? Int
        }
        // A client's, as if some other program had sent it there.
        let packet = RawPacket(from: lab.clientAddress.v4, 5000, to: lab.internetAddress.v4, 7, [0x66])
        var pings = 0
        let well = try watch {
            pings = try lab.client.ping(lab.internetAddress.v4)
            try lab.node.sendRaw([packet.octets], to: lab.internetAddress.v4)
        }
        #expect(pings == 3)
        #expect(well.code == 0 && well.answer["leaked"] as? Int == 0, "\(well.answer)")
        #expect(well.answer["positive_control_seen"] as? Bool == true)
        #expect(count("guard: refused, unmarked", well.answer) == 1, "\(well.answer)")
        #expect(try #require(count("seen: from the uplink's own address", well.answer)) >= 6)

        node.stop()
        node = try ForwarderProcess(Binary.path.path, on: lab, ["--guard", "observe"])
        let ill = try watch { try lab.node.sendRaw([packet.octets], to: lab.internetAddress.v4) }
        #expect(ill.code == 1 && ill.answer["leaked"] as? Int == 1, "\(ill.answer)")

        let idle = try lab.node.start([Binary.path.path, "leaktest", "--live", "--seconds", "1"])
        #expect(idle.wait(upTo: .seconds(20)) != nil)
        #expect(idle.standardOutput.hasSuffix("Nothing was provoked; without --live it is.\n"))
        withExtendedLifetime(node) {}
    }
}
