import Foundation
import Glibc
import Lab
import LinuxSystem
import Node
import Testing

/// A bill whose ledger, or whose counters' names, go away under a node, or whose disk does not answer.
@Suite(.serialized, .labCanBeBuilt) struct LostLedgerTests {
    private let bill: PlainBill
    private var lab: PlainLab { bill.lab }
    private let capped = ["--cap", "1GB"]

    init() throws { bill = try PlainBill() }

    /// The directories of bills, by their names in the bpffs.
    private func names() throws -> [String] {
        try lab.node.run(["find", "/sys/fs/bpf/forwarder", "-mindepth", "1", "-type", "d"])
            .split(separator: "\n").map(String.init)
    }

    /// Has strace interfere with a node until it is ended.
    private func trace(_ node: ForwarderProcess, _ fault: String) throws -> ChildProcess {
        let tracer = try lab.node.start([
            "strace", "-f", "-p", "\(node.child.processIdentifier)", "-e", "trace=fdatasync", "-e", "inject=\(fault)",
            "-o", "/run/traced",
        ])
        try eventually { tracer.standardError.contains("attached") }
        return tracer
    }

    @Test(
        "a ledger that is taken away from a node is made anew with all that was counted, and so are the names",
        arguments: [["rm", "/run/state/ledger"], ["mv", "/run/state/ledger", "/run/state/elsewhere"]])
    func takenAway(command: [String]) throws {
        var node = try bill.start(capped)
        try bill.ping()
        let before = try bill.excess()
        let names = try names()
        #expect(names.count == 1)
        try lab.node.run(command)
        _ = try lab.forwarder(["quota", "grant", "1MB"])
        try bill.ping()
        try lab.node.run(["test", "-s", "/run/state/ledger"])
        try eventually { try self.names().count == 1 }
        try node.kill()
        node = try bill.start(capped)
        #expect(try bill.excess() == before)
        let report = try lab.quota()
        #expect(report.grantedBytes == 1_000_000 && report.chargedBytes == 0, "\(report)")
        #expect(report.findings.isEmpty, "\(report)")
        withExtendedLifetime(node) {}
    }

    @Test("once a cap is lifted, what passes without one is on no later bill of another node")
    func lifted() throws {
        try lab.node.write("cap: 1GB\n", to: "/run/forwarder.yaml")
        var node = try bill.start(["--config", "/run/forwarder.yaml"])
        try bill.ping()
        #expect(try names().count == 1)
        let lifted = try lab.quota().usedBytes
        #expect(lifted > 100)
        try lab.node.write("cap: none\n", to: "/run/forwarder.yaml")
        try node.reload()
        #expect(try names().isEmpty)
        try lab.move(2_000_000)
        #expect(node.stop() == .exited(0))
        node = try bill.start(capped)
        let after = try lab.quota()
        #expect(after.usedBytes >= lifted && after.usedBytes < lifted + 100_000 && after.chargedBytes == 0, "\(after)")
        // The control: of this node everything is.
        try lab.move(2_000_000)
        #expect(try lab.quota().usedBytes > lifted + 2_000_000)
    }

    @Test("a cap that is lifted while the ledger cannot be written leaves the counters their names: nothing is lost")
    func liftedUnwritten() throws {
        try lab.node.write("cap: 1GB\n", to: "/run/forwarder.yaml")
        var node = try bill.start(["--config", "/run/forwarder.yaml"])
        try bill.ping()
        let before = try bill.excess()
        let tracer = try trace(node, "fdatasync:error=EIO")
        try lab.move(5_000_000)
        try lab.node.write("cap: none\n", to: "/run/forwarder.yaml")
        try node.reload()
        #expect(try names().count == 1)
        tracer.terminate()
        #expect(node.stop() == .exited(0))
        node = try bill.start(capped)
        #expect(try bill.excess() == before)
        withExtendedLifetime(node) {}
    }

    @Test(
        "a disk that does not answer holds up neither packets, stages, questions, settings nor the end; nothing is lost"
    )
    func silentDisk() throws {
        try lab.node.write("log: info\n", to: "/run/forwarder.yaml")
        let capped = ["--cap", "40MB", "--cap-stages", "100% stop"]
        var node = try bill.start(["--config", "/run/forwarder.yaml"] + capped)
        try bill.ping()
        let before = try bill.excess()
        let tracer = try trace(node, "fdatasync:delay_enter=120000000")
        // More than the ledger vouches for, so that it is written.
        try lab.move(20_000_000)
        usleep(1_500_000)
        try node.reload()
        #expect(try lab.quota().usedBytes > 20_000_000)
        do {
            let bulk = try Bulk(
                .tcp, .download, flows: 1, client: lab.client, server: lab.internet, at: lab.internetAddress.v4)
            try eventually { try lab.quota().rateBitPerS == 0 }
            withExtendedLifetime(bulk) {}
        }
        try bill.ping(expecting: 0)
        let asked = ContinuousClock.now
        let granted = try lab.node.start(ForwarderProcess.command(Binary.path.path) + ["quota", "grant", "1GB"])
        #expect(granted.wait(upTo: .seconds(5)) == .exited(69))
        #expect(ContinuousClock.now - asked < .seconds(3))
        #expect(granted.standardError.contains("the disk does not answer; it holds"), "\(granted.standardError)")
        try bill.ping()
        // A new loop would take a new ledger: that is refused, and the old one goes on.
        try lab.node.write("log: info\nflows: 2048\n", to: "/run/forwarder.yaml")
        node.child.signal(SIGHUP)
        try eventually { node.child.standardError.contains("could not take settings that need a new packet loop") }
        try bill.ping()
        node.child.signal(SIGTERM)
        try eventually(within: .seconds(8)) { node.child.standardError.contains("stopped; exit traffic is dropped") }
        #expect(node.child.standardError.contains("is not written at the end"), "\(node.child.standardError)")
        // Who is traced ends when the tracer has seen it.
        tracer.terminate()
        #expect(node.child.wait(upTo: .seconds(5)) == .exited(0))
        node = try bill.start(capped)
        #expect(try bill.excess() == before)
        #expect(try lab.quota().chargedBytes == 0)
        withExtendedLifetime(node) {}
    }

    @Test(
        "what is called ledger and is no file is told of by each verb, and holds nobody up",
        arguments: ["mkfifo", "mkdir"])
    func noFile(command: String) throws {
        try lab.node.run([command, "/run/state/ledger"])
        for verb in ["run", "quota", "guard"] {
            let asked = try lab.node.start(
                ForwarderProcess.command(Binary.path.path) + [verb] + capped + bill.uncapped,
                capabilities: [.netAdmin, .bpf])
            #expect(asked.wait(upTo: .seconds(10)) == .exited(69), "\(verb)")
            #expect(asked.standardError.contains("/run/state/ledger is no regular file"), "\(asked.standardError)")
        }
    }

    @Test("while another node makes the same bill, neither run nor guard counts for it")
    func otherNode() throws {
        let node = try bill.start(capped)
        try bill.ping()
        #expect(node.stop() == .exited(0))
        let holder = try lab.node.start(["flock", "/run/state/ledger", "sleep", "60"])
        let before = try lab.node.run(["ls", "/sys/fs/bpf/forwarder"])
        for verb in ["run", "guard"] {
            let asked = try lab.node.start(
                ForwarderProcess.command(Binary.path.path) + [verb] + capped + bill.uncapped,
                capabilities: [.netAdmin, .bpf])
            #expect(asked.wait(upTo: .seconds(10)) == .exited(69), "\(verb)")
            #expect(asked.standardError.contains("another node keeps its ledger there"), "\(asked.standardError)")
        }
        #expect(try lab.node.run(["ls", "/sys/fs/bpf/forwarder"]) == before)
        holder.terminate()
    }

    @Test("status.json tells what passed in this session, also where the count began anew")
    func session() throws {
        func session() throws -> Double {
            let json = try lab.node.run(["cat", "/run/status.json"])
            let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
            return try #require((object?["usage"] as? [String: Any])?["current_session_gb"] as? Double)
        }
        let node = try bill.start(capped + ["--cap-status-file", "/run/status.json"])
        try lab.move(30_000_000)
        try eventually { try session() >= 0.03 }
        _ = try lab.forwarder(["quota", "reset", "--yes"])
        try lab.move(30_000_000)
        try eventually { try session() >= 0.06 }
        #expect(try lab.quota().usedBytes < 40_000_000)
        withExtendedLifetime(node) {}
    }
}
