import Foundation
import Lab
import Testing

@testable import Node
@testable import forwarder

extension Trait where Self == ConditionTrait {
    /// Skips with a sentence where the lab cannot be built.
    static var labCanBeBuilt: Self {
        .enabled(if: Prerequisite.missing.isEmpty, "the lab needs \(Prerequisite.missing.map(\.sentence))")
    }
}

@Suite(.serialized) struct DemoTests {
    @Test("a small demo is well, has every key that scripts read, and fits a terminal", .labCanBeBuilt)
    func small() throws {
        let ending = try Binary.run(
            ["demo", "--json", "--bytes", "2000001"], environment: ["FORWARDER_TAILNET": "no0"])
        #expect(ending.code == 0, "\(ending.err)")
        let answer = try #require(ending.object)
        #expect(answer["schema"] as? String == "forwarder.demo/1")
        #expect(answer["ok"] as? Bool == true)
        #expect(answer["io"] as? String == "uring" || answer["io"] as? String == "poll")
        #expect(answer["exit_address_expected"] as? String == "198.51.100.1")
        #expect(answer["exit_address_seen"] as? String == "198.51.100.1")
        #expect(answer["exit_address_v6_seen"] as? String == "2001:db8:51::1")
        #expect(answer["ipv6_ok"] as? Bool == true)
        #expect(answer["sha256_match"] as? Bool == true)
        // Both halves rounded up, twice.
        #expect(answer["bytes"] as? Int == 2_200_002)
        #expect(answer["wireguard_bytes"] as? Int == 200_000)
        #expect(try #require(answer["tcp_gbit_per_s"] as? Double) > 0)
        #expect(try #require(answer["kernel_tcp_gbit_per_s"] as? Double) > 0)
        #expect(try #require(answer["tcp_of_kernel"] as? Double) > 0)
        // A transfer up and one down in each lab, and over the second a question by TCP and UDP over IPv4 and IPv6.
        #expect(answer["flows"] as? Int == 8)
        #expect(answer["drops"] is [String: Int])
        #expect(answer["control_address_expected"] as? String == "192.0.2.2")
        #expect(answer["control_address_seen"] as? String == "192.0.2.2")
        #expect(answer["leaked_packets"] as? Int == 0)
        let counted = try #require(answer["counted_bytes"] as? Int)
        #expect(counted == answer["true_bytes"] as? Int)
        #expect(counted >= 54_000_000 && counted <= 60_000_000)
        let stages = try #require(answer["stages"] as? [[String: Any]])
        #expect(stages.map { $0["stage"] as? String } == ["50% warn", "70% rate 20Mbit/s", "90% stop"])
        #expect(stages.map { $0["rate_bit_per_s"] as? Int } == [nil, 20_000_000, 0])
        let used = stages.compactMap { $0["used_bytes"] as? Int }
        #expect(used.count == 3 && used == used.sorted() && used[0] >= 30_000_000 && used[1] >= 42_000_000)
        #expect(stages.last?["client_bit_per_s"] as? Int == 0)
        let picture = try #require(answer["picture"] as? [String])
        #expect(picture.first?.hasPrefix("forwarder  forwarding") == true)
        #expect(picture.contains { $0.hasPrefix("cap ") && $0.hasSuffix("of 1.0 GB") })
        #expect(picture.contains { $0.hasSuffix("; 1% rate 20Mbit/s") })
        let metrics = try #require(answer["metrics"] as? [String])
        #expect(metrics.count == 7 && metrics[0] == #"forwarder_state{state="forwarding"} 1"#, "\(metrics)")
        #expect(metrics.contains("forwarder_cap_rate_bytes_per_second 2500000.0"))
        #expect(answer["metric_series"] as? Int ?? 0 > 150)
        #expect(ending.err.contains("scene 6 of 6"))

        let text = try DemoReport(json: Data(ending.out.utf8)).text
        #expect(text.contains("It works"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(text)")
        #expect(!text.contains("203.0.113.10") && !text.contains("100.64.0.2"))
    }

    @Test("the demo is well only if all was whole, seen with the exit address in both versions, and measured")
    func verdict() {
        #expect(Self.report().ok)
        #expect(!Self.report(plain: Self.carried(isWhole: false)).ok)
        #expect(!Self.report(wireGuard: Self.carried(isWhole: false)).ok)
        #expect(!Self.report(seen: "192.0.2.2").ok)
        #expect(!Self.report(seen: "").ok)
        #expect(!Self.report(seenV6: "2001:db8:2::2").ok)
        #expect(!Self.report(seenV6: "2001:db8:2::2").ipv6Ok)
        #expect(!Self.report(speeds: nil).ok)
        #expect(!Self.report(separation: nil).ok)
        #expect(!Self.report(separation: Self.separation(leaked: 1)).ok)
        #expect(!Self.report(separation: Self.separation(leaked: nil)).ok)
        #expect(!Self.report(separation: Self.separation(controlSeen: "198.51.100.1")).ok)
        #expect(!Self.report(separation: Self.separation(isWhole: false)).ok)
        #expect(!Self.report(separation: Self.separation(isInterrupted: false)).ok)
        #expect(!Self.report(sight: nil).ok)
        #expect(!Self.report(sight: Sight(picture: [], metrics: [], series: 0, isRight: false)).ok)
        #expect(!Self.report(capped: nil).ok)
        #expect(!Self.report(capped: Self.capped(counted: 54_200_001)).ok)
        #expect(!Self.report(capped: Self.capped(counted: 54_199_999)).ok)
        #expect(!Self.report(capped: Self.capped(limit: 54_199_999)).ok)
        #expect(!Self.report(capped: Self.capped(isNodeReachable: false)).ok)
        let bad = Self.report(seen: "").text
        #expect(bad.contains("exit address seen      none  2001:db8:51::1"))
        #expect(bad.contains("does NOT work"))
    }

    @Test("the cap held only if each stage began, in order, and gave the client something, but no more than it allows")
    func stages() {
        let (warn, rate, stop) = (Self.stages[0], Self.stages[1], Self.stages[2])
        func isRight(_ stages: [Capped.Stage]) -> Bool { Self.report(capped: Self.capped(stages: stages)).ok }
        func having(_ speed: UInt64?, of stage: Capped.Stage) -> Capped.Stage {
            var had = stage
            had.clientBitPerS = speed
            return had
        }
        #expect(isRight([warn, rate, stop]))
        #expect(!isRight([warn, stop]))
        #expect(!isRight([rate, warn, stop]))
        #expect(!isRight([warn, rate]))
        #expect(!isRight([having(0, of: warn), rate, stop]))
        #expect(!isRight([warn, having(20_000_001, of: rate), stop]))
        #expect(!isRight([warn, having(0, of: rate), stop]))
        #expect(!isRight([warn, having(nil, of: rate), stop]))
        #expect(!isRight([warn, rate, having(1, of: stop)]))
    }

    @Test("the count is told beside the truth, and the stages as they began")
    func count() {
        #expect(
            Self.report(capped: Self.capped(counted: 54_200_001)).text.contains(
                """
                cap, counted           54200001 bytes of 60MB
                cap, true              54200000 bytes at the far end of the uplink
                cap, stages            50% warn, 70% rate 20Mbit/s, 90% stop

                """))
        let untold = Self.report(capped: nil).text
        #expect(untold.contains("cap, true              not told\ncap, stages            none\n"))
    }

    @Test("the monitor's picture and the metrics come before what is summed up")
    func sight() {
        let text = Self.report(
            sight: Sight(
                picture: ["forwarder  forwarding", "egress"], metrics: ["a 1", "b 2"], series: 7, isRight: true)
        ).text
        #expect(
            text.hasPrefix(
                "What `forwarder monitor` shows:\n\nforwarder  forwarding\negress\n\n"
                    + "What Prometheus is told, some of 7 series:\n\na 1\nb 2\n\nbytes moved "))
    }

    @Test("drops and flows of both nodes are added up")
    func sums() {
        let report = Self.report()
        #expect(report.flows == 14)
        #expect(report.drops == ["no_flow": 6, "truncated": 0])
        #expect(report.text.contains("packets dropped        6  no_flow\n"))
        #expect(report.bytes == 2000)
        #expect(report.wireguardBytes == 1000)
    }

    @Test("the speed is told beside the kernel's, with the ratio within rounds")
    func speeds() {
        #expect(Self.report().tcpOfKernel == 0.5)
        #expect(
            Self.report().text.contains(
                """
                TCP, forwarder         9.0 Gbit/s by poll
                TCP, kernel's routing  16.0 Gbit/s with masquerade
                TCP, ratio             0.50 of the kernel's, the median of three rounds

                """))
        #expect(Self.report(speeds: nil).tcpOfKernel == 0)
    }

    @Test("README.md shows the lines that the demo ends with")
    func readme() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        let rest = try #require(page.split(separator: "It ends like this:\n\n```\n").last)
        let shown = try #require(rest.split(separator: "\n```").first)
        // Labels only, and only up to the flows: figures differ from run to run, and so does the flows' order.
        func labels(_ text: some StringProtocol) -> [String] {
            text.split(separator: "\n", omittingEmptySubsequences: false)
                .prefix { !$0.hasPrefix("flow ") }.map { String($0.prefix(23)) }
        }
        #expect(labels(shown) == labels(Self.report().text))
        #expect(shown.hasSuffix("It works on this machine."))
    }

    @Test("what is missing is one refusal with the line that installs it")
    func prerequisites() throws {
        let programs: [Prerequisite] = [
            .program("wg", package: "wireguard-tools"), .program("iperf3", package: "iperf3"),
        ]
        let absent = try #require(Refusal(couldNot: "show", without: programs))
        #expect(absent.exitCode == .unavailable)
        #expect(absent.because == "not installed: wg, iperf3")
        #expect(absent.remedy == "apt-get install wireguard-tools iperf3")
        let powerless = try #require(Refusal(couldNot: "show", without: [.capabilities(.sysAdmin)] + programs))
        #expect(powerless.exitCode == .notPermitted)
        #expect(powerless.remedy == "apt-get install wireguard-tools iperf3, then run it as root")
        #expect(Refusal(couldNot: "show", without: []) == nil)
    }

    @Test("without the power to make namespaces it is 77", .labCanBeBuilt, arguments: ["demo", "bench"])
    func powerless(verb: String) throws {
        let ending = try Binary.shell("setpriv --bounding-set=-sys_admin $forwarder \(verb)")
        #expect(ending.code == 77)
        #expect(ending.err.contains("CAP_SYS_ADMIN") && ending.err.contains("next: run it as root"))
    }

    private static func report(
        plain: Carried = carried(), wireGuard: Carried = carried(), seen: String = "198.51.100.1",
        seenV6: String = "2001:db8:51::1", separation: Separation? = separation(),
        capped: Capped? = capped(), sight: Sight? = Sight(picture: [], metrics: [], series: 0, isRight: true),
        speeds: Speeds? = Speeds(ours: Spread([8, 9, 9]), kernel: Spread([16, 10, 30]))
    ) -> DemoReport {
        DemoReport(
            plain: plain, wireGuard: wireGuard,
            exits: Exits(
                v4: .init(expected: "198.51.100.1", seen: seen), v6: .init(expected: "2001:db8:51::1", seen: seenV6)),
            separation: separation, capped: capped, sight: sight, speeds: speeds)
    }

    private static func separation(
        leaked: Int? = 0, controlSeen: String = "192.0.2.2", isInterrupted: Bool = true, isWhole: Bool = true
    ) -> Separation {
        Separation(
            controlExpected: "192.0.2.2", controlSeen: controlSeen, leaked: leaked, outage: 1.1,
            isInterrupted: isInterrupted, isWhole: isWhole)
    }

    private static let stages = [
        Capped.Stage(stage: "50% warn", usedBytes: 30_100_000, rateBitPerS: nil, clientBitPerS: 200_000_000),
        Capped.Stage(
            stage: "70% rate 20Mbit/s", usedBytes: 42_100_000, rateBitPerS: 20_000_000, clientBitPerS: 19_000_000),
        Capped.Stage(stage: "90% stop", usedBytes: 54_100_000, rateBitPerS: 0, clientBitPerS: 0),
    ]

    private static func capped(
        counted: UInt64 = 54_200_000, limit: UInt64 = 60_000_000, stages: [Capped.Stage] = stages,
        isNodeReachable: Bool = true
    ) -> Capped {
        Capped(counted: counted, truth: 54_200_000, limit: limit, stages: stages, isNodeReachable: isNodeReachable)
    }

    private static func carried(isWhole: Bool = true) -> Carried {
        var status = StatusReport(
            state: .forwarding, io: .poll, ioReason: "", flows: .init(capacity: 65_536, opened: 7),
            bindings: .init(capacity: 16_384), startedAt: .now, pid: 42)
        status.drops = ["no_flow": 3, "truncated": 0]
        return Carried(bytes: 1000, isWhole: isWhole, isWholeOverIPv6: isWhole, status: status, busiest: [])
    }
}
