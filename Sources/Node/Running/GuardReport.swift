import DataPlane
import LinuxNetwork
import LinuxSystem
import Steering

/// What `forwarder guard` did: it closed the host, for whoever is to come, and leaves it so.
///
/// It needs no tun, no tailnet edge and no VPN, only CAP_NET_ADMIN and CAP_BPF, and nobody stays running: what stands, stands
/// until a `run` takes it over or `down` takes it away.
package struct GuardReport: Report {
    package var schema = "forwarder.guard/1"
    /// The interfaces that the guard stands on.
    package let interfaces: [String]
    /// All that holds now, in its order, as `run --dry-run` tells it.
    package let steps: [String]

    /// - Throws: what the kernel refused; nothing of it is left then. Also that there is no uplink to guard, or no ledger of
    ///   what passes, but then all else holds.
    package init(closing settings: NodeSettings) throws(Refusal) {
        var host = try refusing(couldNot: "close the host") { () throws(KernelError) in try Host() }
        let lock = try Host.lock()
        let (routing, edges) = try refusing(couldNot: "close the host") { () throws(KernelError) in
            let routing = try Routing(host.netlink)
            return (routing, try Edges(settings, routing, host.netlink))
        }
        let plan = Plan(closing: settings, beside: edges.uplinks)
        let port = try refusing(couldNot: "close the host") { () throws(KernelError) in
            try host.netlink.link(named: Side.inside.portName)
        }
        if port != nil {
            try Self.expectClosed(edges.uplinks, routing, host, settings)
            interfaces = edges.uplinks.links.map(\.name)
            steps = plan.steps.map(\.description)
            lock.release()
            return
        }
        if let refusal = edges.unfit(settings) ?? edges.uplinks.lockOut(settings) { throw refusal }
        // To close is more urgent than to count.
        var unbilled: Refusal?
        var steering: Steering
        do throws(Refusal) {
            steering = try Steering(countingFor: settings)
            do throws(Refusal) { try steering.beginBill(settings) } catch { unbilled = error }
        } catch {
            unbilled = error
            steering = try Session.load(nil)
        }
        for program in Steering.Program.allCases { host.programs[program] = steering.loaded(program) }
        var made: [Plan.Step] = []
        do throws(KernelError) {
            try steering.keepLocal(settings.keptLocal(edges))
            steering.guardUplinks(by: GuardRules(settings, edges.uplinks, Encapsulation(settings, edges)))
            try plan.settle(host, routing, made: &made)
            try plan.endOtherRules(routing, host)
        } catch {
            Plan.takeBack(made, host)
            throw Refusal(closing: error, couldNot: "close the host")
        }
        guard !edges.uplinks.links.isEmpty else {
            throw Refusal(
                couldNot: "guard the uplink",
                because: settings.uplink.map { "no interface is called \($0)" }
                    ?? "no default route leads to one; the rules of the host hold already",
                remedy: "run it again once the uplink is there, or name it: --uplink eth0", exitCode: .unavailable)
        }
        if let unbilled { throw unbilled }
        interfaces = edges.uplinks.links.map(\.name)
        steps = plan.steps.map(\.description)
        lock.release()
    }

    /// Beside a node there is nothing to do: it has closed the host, and goes on doing so.
    ///
    /// - Throws: that somebody else has the name of a node's port.
    private static func expectClosed(
        _ uplinks: Uplinks, _ routing: Routing, _ host: borrowing Host, _ settings: NodeSettings
    ) throws(Refusal) {
        let isClosed = try refusing(couldNot: "close the host") { () throws(KernelError) in
            try uplinks.unguarded(host.netlink).isEmpty && !routing.ours.rules.isEmpty
        }
        guard !isClosed else { return }
        throw Refusal(
            couldNot: "close the host",
            because:
                "\(Side.inside.portName) is there: a node that has not closed it yet, or somebody else took the name",
            remedy: "\(nextCommand("status", controlSocket: settings.controlSocket)) tells of a node; "
                + "if none runs: ip link delete \(Side.inside.portName)", exitCode: .unavailable)
    }
}
