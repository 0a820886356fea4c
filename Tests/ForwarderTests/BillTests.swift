import Foundation
import Glibc
import Lab
import LinuxSystem
import Testing

@testable import Node

/// What belongs on the bill though no node with a cap runs at that moment, and what is told of the count.
@Suite(.serialized, .labCanBeBuilt) struct BillTests {
    private let bill: Bill
    private var lab: WireGuardLab { bill.lab }

    init() throws { bill = try Bill() }

    private func status() throws -> StatusReport {
        try StatusReport(json: Data(lab.forwarder(["status", "--json"]).utf8))
    }

    /// A verb that is refused, and the sentence that says why.
    private func refused(_ arguments: [String]) throws -> String {
        let child = try lab.node.start(ForwarderProcess.command(Binary.path.path) + arguments)
        #expect(child.wait(upTo: .seconds(10)) == .exited(69))
        return child.standardError
    }

    /// What tailscaled itself would send: it passes the guard though no node runs.
    private func sendControlPlane(_ packets: Int = 200) throws {
        let script = """
            import socket
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x80000)
            for _ in range(\(packets)):
                one.sendto(bytes(1000), ("\(lab.internetAddress.v4)", 7000))
            """
        try lab.node.run(["python3", "-c", script])
    }

    private var pins: String { get throws { try lab.node.run(["find", "/sys/fs/bpf/forwarder", "-type", "f"]) } }

    // MARK: Before, and after

    @Test(
        "down writes what was counted since a node was killed, takes the counters away, and the next start charges nothing"
    )
    func down() throws {
        let node = try lab.startNode()
        let begin = try bill.settled()
        try lab.move(5_000_000)
        try node.kill()
        try sendControlPlane()
        #expect(try pins.contains("/meters"))
        let before = try bill.silence()
        let told = try DownReport(json: Data(lab.forwarder(["down", "--json"] + Bill.capped).utf8))
        let after = try bill.truth()
        #expect(told.settled == Bill.directory)
        let left = try lab.quota()
        let counted = Int64(left.usedBytes) - begin.used
        #expect(counted >= before - begin.truth && counted <= after - begin.truth, "\(counted) \(before - begin.truth)")
        #expect(counted > 5_200_000 && left.chargedBytes == 0 && !left.isRunning)
        #expect(try pins == "")
        #expect(try lab.forwarder(["down"] + Bill.capped) == "nothing of forwarder's was there\n", "a second time")

        let next = try lab.startNode()
        let report = try lab.quota()
        #expect(report.chargedBytes == 0 && report.usedBytes >= left.usedBytes, "\(report)")
        #expect(report.usedBytes < left.usedBytes + 100_000, "what was counted is not counted again")
        // A node that runs is settled twice: what passed while it ended is counted by programs of nobody.
        try lab.move(1_000_000)
        #expect(next.child.wait(upTo: .zero) == nil)
        let sentence = try lab.forwarder(["down"] + Bill.capped)
        #expect(sentence.contains("wrote what was counted into the ledger in \(Bill.directory)\n"))
        #expect(try lab.quota().usedBytes > report.usedBytes + 1_000_000)
    }

    @Test("a disk that takes nothing is told by down, which keeps the counters until it does")
    func downWithoutADisk() throws {
        try lab.node.run(["mount", "-t", "tmpfs", "tmpfs", Bill.directory])
        let node = try lab.startNode()
        let begin = try bill.settled()
        try lab.move(2_000_000)
        try node.kill()
        try sendControlPlane()
        try lab.node.run(["mount", "-o", "remount,ro", Bill.directory])
        let sentence = try refused(["down"] + Bill.capped)
        #expect(sentence.contains("all else is given back") && sentence.contains("ead-only"), "\(sentence)")
        #expect(sentence.contains("then ask again: forwarder down"), "\(sentence)")
        #expect(try !lab.node.run(["tc", "qdisc", "show", "dev", "eth0"]).contains("clsact"))
        #expect(try pins.contains("/meters"))
        // Nobody counts any more, so the truth of this moment is too much only by what passed since.
        let after = try bill.truth()
        try lab.node.run(["mount", "-o", "remount,rw", Bill.directory])
        _ = try lab.forwarder(["down"] + Bill.capped)
        let left = try lab.quota()
        let counted = Int64(left.usedBytes) - begin.used
        #expect(counted > 2_200_000 && counted <= after - begin.truth, "\(counted) \(after - begin.truth)")
        #expect(left.chargedBytes == 0)
        #expect(try pins == "")
    }

    @Test("what passes between guard and the first run is on the bill, and guard closes though it cannot be kept")
    func `guard`() throws {
        let sentence = try refused(["guard", "--cap", "1GB", "--state-dir", "/run/nothing"])
        #expect(sentence.contains("mkdir -p /run/nothing"), "\(sentence)")
        #expect(try lab.node.run(["tc", "filter", "show", "dev", "eth0", "egress"]).contains("guard_egress"))
        _ = try lab.forwarder(["down"])

        let before = try bill.silence()
        _ = try lab.forwarder(["guard"] + Bill.capped)
        let after = try bill.truth()
        #expect(try lab.quota().usedBytes == 0)
        try sendControlPlane()
        let node = try lab.startNode()
        let end = try bill.settled()
        #expect(end.used <= end.truth - before && end.used >= end.truth - after, "\(end) \(before)")
        #expect(end.used > 200_000)
        #expect(try lab.quota().chargedBytes == 0)
        withExtendedLifetime(node) {}
    }

    // MARK: A cap that comes and goes

    @Test("a cap that is set while a node runs bills what that has counted of this period, and what passed without one")
    func setLater() throws {
        let file = "/run/forwarder.yaml"
        func startUncapped() throws -> ForwarderProcess {
            try lab.node.write("log: info\n", to: file)
            return try ForwarderProcess(Binary.path.path, on: lab, ["--config", file] + Bill.uncapped)
        }
        func set(_ cap: String, of node: ForwarderProcess) throws {
            try lab.node.write("cap: \(cap)\n", to: file)
            try node.reload()
        }
        let before = try bill.silence()
        let began = Date()
        var node = try startUncapped()
        let after = try bill.truth()
        try lab.move(1_000_000)
        #expect(try status().cap == nil)
        usleep(1_000_000)
        let isSet = Date()
        try set("1GB", of: node)
        var now = try bill.settled()
        #expect(now.used <= now.truth - before && now.used >= now.truth - after, "\(now) \(before)")
        let since = try lab.quota().countedSince
        // Told in whole seconds.
        #expect(since.timeIntervalSince(began) > -2 && isSet.timeIntervalSince(since) > 1, "\(since)")
        #expect(try pins.contains("/meters"))

        // Away and back.
        let begin = now
        try set("none", of: node)
        try lab.move(1_000_000)
        try set("1GB", of: node)
        now = try bill.settled()
        #expect(now.used - begin.used == now.truth - begin.truth)

        // Another process, which begins without: the programs of this one count until then.
        #expect(node.stop() == .exited(0))
        try sendControlPlane()
        node = try startUncapped()
        try lab.move(1_000_000)
        try set("1GB", of: node)
        now = try bill.settled()
        #expect(now.used - begin.used == now.truth - begin.truth)
        #expect(try lab.quota().chargedBytes == 0)
    }

    // MARK: What is told

    @Test("status tells what is used, what clients get and what waits; and of no cap, nothing")
    func told() throws {
        let node = try lab.startNode(cap: "20MB", ["--cap-stages", "1% rate 2Mbit/s, 100% stop"])
        try lab.move(300_000)
        try eventually { try status().cap?.rateBitPerS == 2_000_000 }
        let stream = try lab.client.start([
            "python3", "-c",
            """
            import socket, time
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            end = time.time() + 6
            while time.time() < end:
                one.sendto(bytes(1200), ("\(lab.internetAddress.v4)", 7000))
                time.sleep(0.002)
            """,
        ])
        var queue: StatusReport.Queue?
        try eventually {
            queue = try status().cap?.queue["egress"]
            return queue?.waitingPackets ?? 0 > 10 && queue?.delayMeanMs ?? 0 > 5
        }
        let seen = try #require(queue)
        #expect(seen.waitingBytes > 10_000 && seen.delayLongestMs >= seen.delayMeanMs, "\(seen)")
        #expect(seen.delayLongestMs < 5_000, "\(seen)")
        let text = try lab.forwarder(["status"])
        #expect(
            text.contains("\ncap ") && text.contains("of 20.0 MB used; 1% rate 2Mbit/s: clients 2000000 bit/s"),
            "\(text)")
        let cap = try #require(try status().cap)
        let report = try lab.quota()
        #expect(cap.usedBytes <= report.usedBytes && cap.periodEnd == report.periodEnd)
        #expect(cap.limitBytes == 20_000_000 && cap.remainingBytes == 20_000_000 - cap.usedBytes)
        stream.terminate()
        node.stop()
        let free = try ForwarderProcess(Binary.path.path, on: lab, ["--dns", "off"])
        #expect(try !lab.forwarder(["status", "--json"]).contains(#""cap""#))
        withExtendedLifetime(free) {}
    }

    @Test("findings are values: counters without a bpffs, a slot that is damaged, both")
    func findings() throws {
        var node = try lab.startNode()
        let sound = try lab.quota()
        #expect(sound.findings == [] && sound.notes == [])
        node.stop()
        func damage(slot: Int) throws {
            let line =
                "printf damaged | dd of=\(Bill.directory)/ledger bs=1 seek=\(slot * 4096 + 100) conv=notrunc status=none"
            try lab.node.run(["sh", "-c", line])
        }
        try damage(slot: 0)
        #expect(try lab.quota().findings == [.slotBad], "without a node, too")
        node = try lab.startNode()
        #expect(try lab.quota().findings == [.slotBad])
        node.stop()
        try damage(slot: 0)
        try damage(slot: 1)
        let sentence = try refused(["quota"] + Bill.capped)
        #expect(sentence.contains("both halves of the ledger"), "\(sentence)")
        try lab.node.run(["umount", "/sys/fs/bpf"])
        node = try lab.startNode()
        let report = try lab.quota()
        #expect(report.findings == [.bothSlotsBad, .countersNotPinned] && report.chargedBytes > 0, "\(report)")
        #expect(report.notes.count == 2)
        #expect(try Set(status().notes).isSuperset(of: report.notes))
        let json = try lab.forwarder(["quota", "--json"] + Bill.capped)
        #expect(json.contains(#""findings":["both_slots_bad","counters_not_pinned"]"#), "\(json)")
        let doctor = try lab.node.doctor(Bill.capped)
        #expect(doctor["ledger"]?.evidence == report.notes[0], "\(String(describing: doctor["ledger"]))")
        #expect(doctor["bpffs"]?.severity == .warning)
    }
}
