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

    /// What closes a host, before it has an edge: the guard on the uplinks, and rules by which the kernel routes nothing that
    /// comes in by the tailnet edge but to what is kept local, nor anything that the VPN sends without being asked, though
    /// those edges be made anew while nobody runs. Then the ways of the control plane.
    init(closing settings: NodeSettings, beside uplinks: Uplinks) {
        let guarded = uplinks.links.map { Step.program(.guardEgress, on: $0.name) }
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
            guarded + (closed + open + unasked).map(Step.rule) + uplinks.mirror.map(Step.route)
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
    /// - Parameter made: gains the steps that were made and can be taken back, also when a later one is refused.
    func settle(_ host: borrowing Host, made: inout [Step]) throws(KernelError) {
        let ours = try Ours(host.netlink)
        for step in steps where try !step.holds(host, ours) {
            if try step.make(host) { made.append(step) }
        }
        try endOtherRoutes(ours, host)
    }

    /// Ends routes of ours that are no longer meant: an uplink's that are gone, of other settings, of a dead node.
    private func endOtherRoutes(_ ours: Ours, _ host: borrowing Host) throws(KernelError) {
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
    func endOtherRules(_ host: borrowing Host) throws(KernelError) {
        for rule in try Rule.ours(host.netlink) where !steps.contains(.rule(rule)) {
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

/// What of forwarder's the kernel holds, asked for once for a plan that may hold a thousand steps.
struct Ours {
    let rules: Set<Rule>
    let routes: Set<Route>

    init(_ netlink: borrowing Netlink) throws(KernelError) {
        rules = Set(try Rule.ours(netlink))
        routes = Set(try Route.ours(netlink))
    }
}

/// The host as a plan meets it.
struct Host: ~Copyable {
    let netlink: Netlink
    /// What is loaded to be attached.
    var programs: [Steering.Program: LoadedProgram] = [:]
    var marks: ControlPlaneMarks?

    init() throws(KernelError) { netlink = try Netlink() }
}

extension Plan.Step {
    /// Packets that wait for the loop. A tun drops silently behind these, and 500, the default, are a quarter of a
    /// millisecond.
    private static let queueLength: UInt32 = 4096
    private static let mtu: UInt32 = 65_535

    func holds(_ host: borrowing Host, _ ours: Ours) throws(KernelError) -> Bool {
        switch self {
        case .rule(let rule): return ours.rules.contains(rule)
        case .route(let route): return ours.routes.contains(route)
        case .program(let program, let name):
            guard let loaded = host.programs[program], let link = try host.netlink.link(named: name) else {
                return false
            }
            return try host.netlink.programNumber(of: Attachment.filter(program), on: link) == loaded.number
        case .port(let side):
            guard let link = try host.netlink.link(named: side.portName) else { return false }
            return link.isUp && link.mtu == Self.mtu && link.transmitQueueLength == Self.queueLength
        case .marks(let cgroup): return host.marks?.cgroup == cgroup
        }
    }

    /// - Returns: whether it can be taken back. A program put in the place of a dead node's cannot: that would open what
    ///   the dead node's closed.
    fileprivate func make(_ host: borrowing Host) throws(KernelError) -> Bool {
        switch self {
        case .rule(let rule):
            do throws(KernelError) {
                try host.netlink.add(rule)
                return true
            } catch {
                // A kernel without IPv6 routes none.
                guard error.errno == .addressFamilyNotSupported else { throw error }
                return false
            }
        case .route(let route):
            do throws(KernelError) {
                try host.netlink.replace(route)
                return true
            } catch {
                // What comes and goes meanwhile is met by the next look, and a host without IPv6 routes none.
                let harmless = route.destination.address.isV4 ? [] : [EAFNOSUPPORT, EACCES]
                guard ([ENETDOWN, ENODEV] + harmless).contains(error.errno.rawValue) else { throw error }
                return false
            }
        case .program(let program, let name):
            guard let loaded = host.programs[program] else { throw KernelError("bpf", .invalidArgument, name) }
            let link = try present(name, host.netlink)
            let filter = Attachment.filter(program)
            let predecessors = try Attachment.all(on: link, host.netlink)
            try host.netlink.addClsact(to: link)
            do throws(KernelError) {
                if predecessors.contains(where: { $0.isInPlace(of: filter) }) {
                    try host.netlink.replace(filter, on: link, program: loaded.descriptor)
                } else {
                    // Who else stands in our place is not ours to remove.
                    try host.netlink.attach(filter, to: link, program: loaded.descriptor)
                }
            } catch {
                Attachment.removeEmptyHooks(of: link, host.netlink)
                throw error
            }
            return predecessors.isEmpty
        case .port(let side):
            let link = try present(side.portName, host.netlink)
            // Silent before it comes up: its own solicitations would meet us as packets of a client.
            try host.netlink.disableAddressGeneration(on: link)
            try host.netlink.setMTU(Self.mtu, of: link)
            try host.netlink.setTransmitQueueLength(Self.queueLength, of: link)
            try host.netlink.bringUp(link)
            return true
        case .marks(let cgroup): return host.marks?.put(on: cgroup) ?? false
        }
    }

    fileprivate func takeBack(_ host: borrowing Host) {
        switch self {
        case .rule(let rule): try? host.netlink.delete(rule)
        case .route(let route): try? host.netlink.delete(route)
        case .program(let program, let name):
            let filter = Attachment.filter(program)
            guard let link = try? host.netlink.link(named: name),
                let found = try? Attachment.all(on: link, host.netlink), found.contains(filter)
            else { return }
            _ = try? host.netlink.detach(filter, from: link)
            Attachment.removeEmptyHooks(of: link, host.netlink)
        // It goes with the descriptor.
        case .port: break
        case .marks: host.marks?.takeOff()
        }
    }

    private func present(_ name: String, _ netlink: borrowing Netlink) throws(KernelError) -> Link {
        guard let link = try netlink.link(named: name) else {
            throw KernelError("RTM_GETLINK", .noSuchAddressOrDevice, name)
        }
        return link
    }
}

extension Plan.Step: CustomStringConvertible {
    var description: String {
        switch self {
        case .rule(let rule): "\(rule)"
        case .route(let route): "\(route)"
        case .program(let program, let name):
            "eBPF program \(Attachment.filter(program).name) at \(program.direction) of \(name)"
        case .port(let side):
            "tun device \(side.portName) up, with MTU \(Self.mtu), queue \(Self.queueLength), no addresses"
        case .marks(let cgroup): "eBPF programs at cgroup \(cgroup.path), for marks on what tailscaled connects"
        }
    }
}

extension Route {
    /// Of two routes in one place, one replaces the other.
    fileprivate func isInPlace(of other: Route) -> Bool {
        (destination, metric, table) == (other.destination, other.metric, other.table)
    }
}
