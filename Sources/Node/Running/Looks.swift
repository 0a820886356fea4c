import LinuxNetwork
import LinuxSystem
import LocalAPI

// A look at the host, and what a running node makes of it.

extension RunningNode {
    /// Looks at the edges and has the session meet them.
    ///
    /// - Throws: what ends the node: a first look that fails, no edges by the deadline, a namespace that is left.
    func follow(
        _ session: Session, _ course: inout Course, _ tailscaled: SubnetRouteWatch, _ names: NameService?,
        _ host: borrowing Host
    ) throws(Refusal) {
        let routes = tailscaled.takeAnswer()
        tell(routes, &course.told)
        let settings = settings.keeping(routes.routes)
        let now = ContinuousClock.now
        var missing: [String] = []
        var unfit: Refusal?
        var edges = Edges.none
        do throws(KernelError) {
            let routing = try Routing(host.netlink)
            edges = try Edges(settings, routing, formerly: course.uplinks, host.netlink)
            course.meet(edges, at: now)
            missing = edges.missing
            unfit = edges.unfit(settings) ?? edges.uplinks.lockOut(settings)
            tunnel.follow(edges, settings, log)
            let encapsulation = tunnel.encapsulation(settings)
            let ended =
                unfit == nil ? try session.follow(edges, routing, settings, passing: encapsulation, host) : 0
            if ended > 0 { log.notice("the exit address changed: its flows ended", metadata: ["flows": "\(ended)"]) }
            course.retry = nil
            tell(session.controlPlane, &course.told)
            let isUserspace = routes.routes != nil && routes.failure == nil
            // Told and nothing else: what the kernel refuses to say of it closes nothing, and is asked again.
            if let found = try? notes(edges, routing, settings, isUserspace: isUserspace, host) {
                noted.withLock { $0 = found.map(\.evidence) }
                tell(found, &course.told)
            }
        } catch {
            session.close()
            guard session.hasPorts(host) else { throw Refusal(portTaken: error) }
            let refusal = Refusal(attachingTo: edges, settings, error, host.netlink)
            guard !course.isFirstLook else { throw refusal }
            // What vanishes while we look at it is met by the next look.
            missing = ["the kernel, which refuses: \(refusal.because)"]
            course.retry = now + .seconds(1)
        }
        course.isFirstLook = false
        course.adminRetry = admin?.follow(self.settings.admin)
        course.namesRetry = names?.follow(edges, tailscaledSocket: settings.tailscaledSocket, log)
        if let unfit { throw unfit }
        if course.told.missing != missing, missing.isEmpty { course.startEnds = now + .seconds(1) }
        tell(missing, session, settings, &course.told)
        if let ended = course.startEnds, now >= ended {
            ResidentMemory.forgetCode()
            course.startEnds = nil
        }
        if missing.isEmpty { course.deadline = nil }
        if now >= course.portsLookedUp + Course.portsInterval {
            session.holdPorts()
            course.portsLookedUp = now
        }
        if let refusal = course.end(missing, at: now) { throw refusal }
    }

    /// What settings choose of the host as it is now.
    ///
    /// - Throws: why the node could not run by them, however long it waits.
    func choose(
        _ settings: NodeSettings, _ host: borrowing Host
    ) throws(Refusal) -> (edges: Edges, routing: Routing) {
        let (edges, routing) = try refusing(couldNot: "ask for interfaces") { () throws(KernelError) in
            let routing = try Routing(host.netlink)
            return (try Edges(settings, routing, host.netlink), routing)
        }
        // A rule for an interface that cannot be an edge could cut the host off.
        if let refusal = edges.unfit(settings) ?? edges.uplinks.lockOut(settings) { throw refusal }
        return (edges, routing)
    }
}
