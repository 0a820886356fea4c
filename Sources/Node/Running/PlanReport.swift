import LinuxNetwork
import LinuxSystem
import LocalAPI

/// What `forwarder run --dry-run` tells: the changes that a node would make to its host, in their order, and makes none.
package struct PlanReport: Report {
    package struct Step: Codable, Equatable, Sendable {
        package let step: String
        /// Whether it is so already.
        package let holds: Bool
    }

    package var schema = "forwarder.plan/1"
    package let steps: [Step]
    /// Interfaces that would be waited for.
    package let waitingFor: [String]

    package init(_ settings: NodeSettings) throws(Refusal) {
        let settings = settings.keeping(SubnetRouteWatch.answer(at: settings.tailscaledSocket).routes)
        (steps, waitingFor) = try refusing(couldNot: "look at the host") { () throws(KernelError) in
            let host = try Host()
            let edges = try Edges(settings, host.netlink)
            let plan = Plan(closing: settings).attached(to: edges, of: settings)
            var steps: [Step] = []
            let rules = Set(try Rule.ours(host.netlink))
            for step in plan.steps { steps.append(Step(step: "\(step)", holds: try step.holds(host, rules))) }
            return (steps, edges.missing)
        }
    }
}
