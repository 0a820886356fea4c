import Foundation
import Glibc
import Lab
import LinuxSystem
import Node
import Testing

/// The cap in a real node: what is counted, what holds from which stage on, and what outlives it.
@Suite(.serialized, .labCanBeBuilt) struct QuotaTests {
    private let bill: Bill
    private var lab: WireGuardLab { bill.lab }

    init() throws { bill = try Bill() }

    @Test("what is used is what the far end of the line counts, over kill -9 and a restart")
    func count() throws {
        var node = try lab.startNode()
        let before = try bill.excess()
        try lab.move(20_000_000)
        try lab.move(5_000_000, .upload)
        let moved = try bill.settled()
        #expect(moved.used - moved.truth == before && moved.used > 25_000_000)
        try node.kill()
        #expect(try !lab.quota().isRunning)
        node = try lab.startNode()
        #expect(try bill.excess() == before)
        try lab.move(2_000_000)
        #expect(node.stop() == .exited(0))
        node = try lab.startNode()
        #expect(try bill.excess() == before)
        let report = try lab.quota()
        #expect(report.isRunning && report.chargedBytes == 0 && report.notes.isEmpty, "\(report)")
        #expect(report.tunnel["ingress"] ?? 0 > 22_000_000)
    }

    @Test("stages: a rate holds clients to it, the stop ends what they send, the control plane goes on; a grant opens")
    func stages() throws {
        let node = try lab.startNode(
            cap: "10MB",
            ["--cap-stages", "10% warn, 45% rate 4Mbit/s, 100% stop", "--cap-status-file", "/run/state/status.json"])
        // Each byte of it passes the line twice, and what a queue drops has passed it once.
        try lab.move(2_200_000)
        try eventually { try lab.quota().rateBitPerS == 4_000_000 }
        let begin = ContinuousClock.now
        try lab.move(1_000_000)
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        #expect(seconds > 1.75 && seconds < 6, "1 MB at 4 Mbit/s is 2 s: \(seconds)")
        #expect(node.child.standardError.contains("a stage of the cap begins"))

        // All that is left, and more.
        let failure = #expect(throws: LabFailure.self) { try lab.move(10_000_000, patience: .seconds(3)) }
        #expect(failure != nil)
        let stopped = try lab.quota()
        #expect(stopped.rateBitPerS == 0 && stopped.stage == "100% stop", "\(stopped)")
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)
        #expect(try lab.client.ping(lab.nodeAddress.v4, count: 1) == 1, "the node itself answers")
        let file = try lab.node.run(["cat", "/run/state/status.json"])
        #expect(file.contains(#""status" : "limit_exceeded""#) && file.contains(#""limit_gb" : 0.01"#), "\(file)")

        let granted = try lab.quota(["grant", "1GB"])
        #expect(granted.grantedBytes == 1_000_000_000 && granted.rateBitPerS == nil, "\(granted)")
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 2) == 2)
    }

    @Test("without a bpffs what a crash may have hidden is charged, and the log says what to mount")
    func withoutPins() throws {
        try lab.node.run(["umount", "/sys/fs/bpf"])
        let node = try lab.startNode()
        #expect(node.child.standardError.contains("no bpffs keeps the counters"))
        let before = try bill.excess()
        try lab.move(5_000_000)
        #expect(try bill.excess() == before)
        try node.kill()
        let again = try lab.startNode()
        let report = try lab.quota()
        #expect(report.chargedBytes >= 1 << 20, "\(report)")
        #expect(try bill.excess() >= before, "never less than the truth")
        withExtendedLifetime(again) {}
    }

    @Test("settings that are read again set a cap, and take it away")
    func reload() throws {
        let file = "/run/forwarder.yaml"
        try lab.node.write("log: info\n", to: file)
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--config", file] + Bill.uncapped)
        let refused = try lab.node.start([Binary.path.path, "quota"])
        #expect(refused.wait(upTo: .seconds(5)) == .exited(64))
        #expect(refused.standardError.contains("FORWARDER_CAP=35GB"))
        try lab.node.write("cap: 1MB\ncap.stages: 50% stop\n", to: file)
        try node.reload()
        // Perhaps all of it passes before the next look, perhaps not.
        _ = try? lab.move(2_000_000, patience: .seconds(2))
        #expect(try lab.quota().stage == "50% stop", "\(node.child.standardError)")
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)
        try lab.node.write("cap: none\n", to: file)
        try node.reload()
        try eventually { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 2) == 1 }
    }
}
