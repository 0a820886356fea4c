import LinuxNetwork
import LinuxSystem
import LocalAPI
import SplitDNS

/// What `forwarder run --dry-run` tells: the changes that a node would make to its host, in their order, and makes none.
package struct PlanReport: Report {
    package struct Step: Codable, Equatable, Sendable {
        package let step: String
        /// Whether it is so already; of a program, whether a node's stands there, this one's or another's.
        package let holds: Bool
    }

    package var schema = "forwarder.plan/1"
    package let steps: [Step]
    /// Interfaces that would be waited for.
    package let waitingFor: [String]

    package init(_ settings: NodeSettings) throws(Refusal) {
        let settings = settings.keeping(SubnetRouteWatch.answer(at: settings.tailscaledSocket).routes)
        var unfit: Refusal?
        (steps, waitingFor) = try refusing(couldNot: "look at the host") { () throws(KernelError) in
            let host = try Host()
            let routing = try Routing(host.netlink)
            let edges = try Edges(settings, routing, host.netlink)
            let plan = Plan(closing: settings, beside: edges.uplinks).withPorts()
                .attached(to: edges, marking: try? TailscaledCgroup.find(), of: settings)
            unfit = edges.unfit(settings)
            var steps: [Step] = []
            for step in plan.steps {
                steps.append(Step(step: "\(step)", holds: try step.seemsToHold(host, routing.ours, settings)))
            }
            if settings.dns.mode == .on {
                let text = try NameService.file.read() ?? []
                steps.append(
                    Step(
                        step: "\(NameService.file.path): nameserver \(settings.dns.listen.address)",
                        holds: ResolvConf(text).asking(settings.dns.listen.address) == text))
            }
            return (steps, edges.missing)
        }
        if let unfit { throw unfit }
    }
}

extension Plan.Step {
    /// For who has loaded no programs to compare with.
    fileprivate func seemsToHold(
        _ host: borrowing Host, _ ours: Routing.Ours, _ settings: NodeSettings
    ) throws(KernelError) -> Bool {
        switch self {
        case .rule, .route, .port: return try holds(host, ours)
        case .program(let program, let name):
            guard let link = try host.netlink.link(named: name) else { return false }
            return try Attachment.all(on: link, host.netlink).contains(Attachment.filter(program))
        // Whose programs stand at a cgroup takes CAP_SYS_ADMIN to see.
        case .marks:
            let status: StatusReport? = try? ControlClient.ask(.status, at: settings.controlSocket)
            return status?.controlPlaneMarking == .ebpf
        }
    }
}
