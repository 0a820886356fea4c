import DataPlane
import Glibc
import LinuxNetwork
import LinuxSystem
import PacketParse
import Steering

/// What is to hold of the host, in this order, while a node runs and from then on until `down`.
///
/// A plan is a value, made from settings and edges. It is settled again whenever something changed: what holds is left
/// alone, whoever made it.
struct Plan: Sendable {
    /// Each can be asked for, made true and taken back.
    enum Step: Hashable, Sendable {
        case rule(Rule)
        /// In a table of ours, or at the end of the VPN's.
        case route(Route)
        /// A program at a link, before anybody else's, so that nobody sees exit traffic first.
        case program(Steering.Program, on: String)
        /// A port of ours: large packets, a long queue, silent, up. All of it goes with the port.
        case port(Side)
        /// Marks on what tailscaled connects.
        case marks(on: TailscaledCgroup)
    }

    let steps: [Step]

    /// What closes a host, before it has an edge: the guard on the uplinks, and what counts there, and rules by which the kernel routes nothing that
    /// comes in by the tailnet edge but to what is kept local, nor anything that the VPN sends without being asked, though
    /// those edges be made anew while nobody runs. Then the ways of the control plane.
    init(closing settings: NodeSettings, beside uplinks: Uplinks) {
        // Where uplink and VPN are one, the program of the VPN's edge counts.
        let guarded = uplinks.links.flatMap { link in
            [Step.program(.guardEgress, on: link.name)]
                + (link.name == settings.vpn ? [] : [.program(.uplinkIngress, on: link.name)])
        }
        let closed = AddressFamily.allCases.map { Rule.closing(settings.tailnet, $0) } + Rule.closingClientDNS
        let open = settings.local.map { prefix in
            Rule(
                prefix.address.family, preference: 90, incoming: settings.tailnet, destination: prefix,
                .lookup(Route.main), origin: Rule.forwarder)
        }
        // Where uplink and VPN are one, the host's networks are behind it, too.
        let isApart = !uplinks.links.contains { $0.name == settings.vpn }
        let unasked = isApart ? Rule.closingUnasked(settings) : []
        steps =
            guarded + (closed + open + unasked).map(Step.rule)
            + uplinks.mirror(vpnTable: settings.tunnel.table).map(Step.route)
            + uplinks.rules.map(Step.rule)
    }

    /// The same, and the ports, which end with their process.
    func withPorts() -> Plan {
        // The programs before the port comes up: no packet of a port ever meets the host's stack.
        let ports = Side.allCases.flatMap { side in
            [Step.program(side == .inside ? .insidePortIngress : .outsidePortIngress, on: side.portName), .port(side)]
        }
        return Plan(steps + ports)
    }

    /// - Parameter steps: what else is to hold, once the edges are there.
    private init(_ steps: [Step]) { self.steps = steps }

    /// The same, attached to the edges that are there.
    func attached(to edges: Edges, marking cgroup: TailscaledCgroup?) -> Plan {
        attached(edges.tailnet?.name, edges.vpn?.name, cgroup)
    }

    /// The same, attached to both edges, also to those that are still to come.
    func attached(to edges: Edges, marking cgroup: TailscaledCgroup?, of settings: NodeSettings) -> Plan {
        attached(edges.tailnet?.name ?? settings.tailnet, edges.vpn?.name ?? settings.vpn, cgroup)
    }

    private func attached(_ tailnet: String?, _ vpn: String?, _ cgroup: TailscaledCgroup?) -> Plan {
        let programs = [(Steering.Program.tailnetIngress, tailnet), (.vpnIngress, vpn)]
        let marks = cgroup.map { [Step.marks(on: $0)] } ?? []
        return Plan(steps + marks + programs.compactMap { program, name in name.map { .program(program, on: $0) } })
    }

    /// Makes every step hold that does not.
    ///
    /// - Parameters:
    ///   - routing: as it was before.
    ///   - made: gains the steps that were made and can be taken back, also when a later one is refused.
    func settle(_ host: borrowing Host, _ routing: Routing, made: inout [Step]) throws(KernelError) {
        for step in steps where try !step.holds(host, routing.ours) {
            if try step.make(host) { made.append(step) }
        }
        try endOtherRoutes(routing.ours, host)
    }

    /// Ends routes of ours that are no longer meant: an uplink's that are gone, of other settings, of a dead node.
    private func endOtherRoutes(_ ours: Routing.Ours, _ host: borrowing Host) throws(KernelError) {
        let meant = steps.compactMap { step in if case .route(let route) = step { route } else { nil } }
        // One that was replaced is gone, and to delete it would delete what stands in its place: the kernel compares no more than
        // it is told, and a route without a next hop tells none.
        for route in ours.routes where !meant.contains(where: { $0.isInPlace(of: route) }) {
            do throws(KernelError) { try host.netlink.delete(route) } catch {
                // The kernel takes an interface's routes with it.
                guard [ESRCH, ENODEV].contains(error.errno.rawValue) else { throw error }
            }
        }
    }

    /// Ends rules of ours that are no longer meant: of other settings, of a dead node, of another version.
    ///
    /// - Parameter routing: as it was before this plan was settled.
    func endOtherRules(_ routing: Routing, _ host: borrowing Host) throws(KernelError) {
        for rule in Rule.ours(in: routing.rules) where !steps.contains(.rule(rule)) {
            do throws(KernelError) {
                try host.netlink.delete(rule)
            } catch {
                guard error.errno == .noSuchFileOrDirectory else { throw error }
            }
        }
    }

    /// Takes programs of ours from interfaces that older settings named, as far as these steps do not name them.
    func giveBack(_ former: [String], _ host: borrowing Host) throws(KernelError) {
        for name in Set(former) {
            guard let link = try host.netlink.link(named: name) else { continue }
            // One that was given up may have been chosen again before the ways opened, or have become an uplink.
            let meant = steps.compactMap { step in
                if case .program(let program, name) = step { Attachment.filter(program) } else { nil }
            }
            for filter in try Attachment.all(on: link, host.netlink) where !meant.contains(filter) {
                try host.netlink.detach(filter, from: link)
            }
            Attachment.removeEmptyHooks(of: link, host.netlink)
        }
    }

    /// Walks steps backwards. One that does not hold any more is as good as taken back.
    static func takeBack(_ steps: [Step], _ host: borrowing Host) {
        for step in steps.reversed() { step.takeBack(host) }
    }
}

extension Route {
    /// Of two routes in one place, one replaces the other.
    fileprivate func isInPlace(of other: Route) -> Bool {
        (destination, metric, table) == (other.destination, other.metric, other.table)
    }
}
