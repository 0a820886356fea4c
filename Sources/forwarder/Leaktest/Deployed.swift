import FoundationEssentials
import Glibc
import Lab
import Node

/// A lab and the forwarder on its node.
final class Deployed {
    let lab: LeakLab
    /// Nothing while none runs.
    private(set) var forwarder: ForwarderProcess?
    private let program: String
    private let settings: [String]

    /// - Parameters:
    ///   - program: the forwarder's path.
    ///   - settings: flags, for `guard` and `run` alike.
    init(_ program: String, _ settings: [String]) throws(LabFailure) {
        self.program = program
        self.settings =
            [
                "--dns-direct", LeakLab.resolvers.direct, "--dns-vpn", LeakLab.resolvers.vpn,
                "--vpn-stale", "2s",
            ] + settings
        lab = try LeakLab(postRules: FirewallNeeds(NodeSettings()).needs.flatMap(\.rules).joined(separator: "\n"))
    }

    /// Puts in place what closes, alone, and then lets the VPN come.
    func putGuard() throws(LabFailure) {
        try lab.lab.node.run(ForwarderProcess.command(program) + ["guard"] + settings)
        try lab.restoreRuleset()
        try lab.redigVPN()
    }

    /// Begins to run; it forwards once its edges are there.
    func start() throws(LabFailure) { forwarder = try ForwarderProcess(starting: program, on: lab.lab, settings) }

    /// Also where it has ended, which shows soon.
    var isForwarding: Bool {
        guard let child = forwarder?.child else { return true }
        return child.standardError.contains("forwarding") || child.wait(upTo: .zero) != nil
    }

    func stop() {
        forwarder?.stop()
        forwarder = nil
    }

    func kill() {
        forwarder?.child.signal(SIGKILL)
        _ = forwarder?.child.wait(upTo: .seconds(5))
        forwarder = nil
    }

    /// Until the node says that nothing comes back out of the VPN.
    func awaitStale() throws(LabFailure) {
        for _ in 0..<100 {
            if try forwarder?.ask(["status"]).contains("stale for") == true { return }
            usleep(100_000)
        }
        throw LabFailure(couldNot: "see the VPN stale", because: forwarder?.child.standardError ?? "none runs")
    }

    func reload() throws(LabFailure) {
        let told = forwarder?.child.standardError.count ?? 0
        forwarder?.child.signal(SIGHUP)
        for _ in 0..<100 where forwarder?.child.standardError.count == told { usleep(10_000) }
    }
}
