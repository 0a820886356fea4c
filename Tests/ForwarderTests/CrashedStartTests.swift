import Foundation
import Lab
import LinuxSystem
import TestSupport
import Testing

/// A start that is killed between any two of its changes. Each change is one request to rtnetlink, and so is each look;
/// the process dies on its way into the request.
@Suite(.labCanBeBuilt) struct CrashedStartTests {
    private let lab: PlainLab

    init() throws {
        lab = try PlainLab()
        try lab.enableKernelRouting()
        #expect(try lab.passes(), "the control: the kernel would route it")
    }

    /// The requests on whose way the host is as no earlier one leaves it: the changes, and what follows the last.
    private func steps() throws -> [Int] {
        let changes = try StartRequests(on: lab).changes
        #expect(changes.count > 15)
        return changes + changes.suffix(1).map { $0 + 1 }
    }

    /// Starts a node that dies at its request of that number.
    ///
    /// - Returns: false when it has begun to forward before that.
    private func crash(atRequest number: Int) throws -> Bool {
        let child = try lab.node.start(
            [
                "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e",
                "inject=sendmsg:signal=KILL:when=\(number)", Binary.path.path, "run",
            ], capabilities: [.netAdmin, .bpf, .sysPtrace])
        child.waitForForwarding()
        let hasForwarded = child.standardError.contains("msg=forwarding ")
        child.terminate()
        return !hasForwarded
    }

    /// Which families are answered: those that the kernel routes as before, nobody else being there.
    private func open() throws -> [String] {
        let pings = try [lab.internetAddress.v4, lab.internetAddress.v6].map {
            try lab.client.start(["ping", "-n", "-c", "1", "-W", "0.2", $0])
        }
        return zip(["IPv4", "IPv6"], pings).filter { $1.wait(upTo: .seconds(5)) == .exited(0) }.map(\.0)
    }

    private func expectUntouched(_ comment: Comment) throws {
        let left = try lab.node.run(["ip", "link"]) + lab.node.run(["tc", "qdisc"])
        #expect(!left.contains("fwd-") && !left.contains("clsact"), comment)
        let rules = try lab.node.run(["ip", "rule"]) + lab.node.run(["ip", "-6", "rule"])
        #expect(!rules.contains("tailscale0"), comment)
    }

    @Test("killed at each step, exit traffic was never touched or is dropped, and down gives the host back")
    func thenDown() throws {
        var told: [(number: Int, open: [String])] = []
        for number in try steps() {
            guard try crash(atRequest: number) else { break }
            let open = try open()
            if told.last?.open != open { told.append((number, open)) }
            _ = try lab.node.run([Binary.path.path, "down"])
            try expectUntouched("request \(number)")
            #expect(try self.open().count == 2, "request \(number): the kernel routes again")
        }
        print("killed at request N of a start, these are still the kernel's: \(told)")
        // IPv4 is closed first, then IPv6; what is closed stays so.
        #expect(told.map(\.open) == [["IPv4", "IPv6"], ["IPv6"], []])
    }

    @Test("killed at each step, the next run takes over what is left")
    func thenRun() throws {
        var crashes = 0
        // Every other one, for time: `make soak` has all.
        for (place, number) in try steps().enumerated() where isSoak || place % 2 == 0 {
            guard try crash(atRequest: number) else { break }
            crashes += 1
            let next = try ForwarderProcess(Binary.path.path, on: lab)
            try eventually { try lab.passes() }
            #expect(try next.status().forwarded.egress.packets >= 2, "request \(number): by us")
            _ = try next.ask(["down"])
            next.child.terminate()
        }
        #expect(crashes > 7)
        _ = try lab.node.run([Binary.path.path, "down"])
        try expectUntouched("in the end")
    }
}
