import DataPlane
import FoundationEssentials
import Glibc
import LinuxNetwork
import LinuxSystem
import LocalAPI
package import Logging
import PacketParse
import Synchronization
import SystemPackage

/// A node from `forwarder run` to its end: closes the host, waits for the edges and follows them, answers on the control
/// socket, stops.
///
/// Four threads: the caller's follows signals and interfaces, one answers the control socket, one asks tailscaled, one
/// moves packets. A fifth answers names, where these are split.
package final class RunningNode: Sendable {
    enum State: Sendable {
        case starting
        case running(Session)
        case stopping
    }

    /// Some twenty-five to forward, the rest to answer. It is asked for at once because not everything that lacks one says
    /// so: libbpf blames the programs, and the host's own ports would seem to be free.
    static let descriptors: UInt64 = 64

    private let signals: SignalDescriptor
    private let current: Mutex<NodeSettings>
    /// Reads the settings again, as at the start.
    private let reread: @Sendable () throws(Refusal) -> NodeSettings
    private let state = Mutex(State.starting)
    private let logger: Logger
    private let stopRequest: EventDescriptor
    private let nameService = Mutex<NameService?>(nil)
    private let tunnel = TunnelWatch()

    var nameReport: StatusReport.DNS? { nameService.withLock { $0 }?.report }

    var tunnelReport: StatusReport.VPN? { tunnel.report(settings) }

    var settings: NodeSettings { current.withLock { $0 } }

    private var log: Logger {
        var log = logger
        log.logLevel = settings.log
        return log
    }

    package init(
        _ log: Logger, readingSettings reread: @escaping @Sendable () throws(Refusal) -> NodeSettings
    ) throws(Refusal) {
        // Before any thread, which inherits what is not its to take, and before a hang-up could end us.
        signals = try refusing(couldNot: "start") { () throws(KernelError) in
            try SignalDescriptor([SIGTERM, SIGINT, SIGHUP])
        }
        current = Mutex(try reread())
        self.reread = reread
        logger = log
        guard OwnedDescriptor.limit >= Self.descriptors else {
            throw Refusal(openFiles: OwnedDescriptor.limit, of: Self.descriptors)
        }
        stopRequest = try refusing(couldNot: "start") { () throws(KernelError) in try EventDescriptor() }
        let effective = try refusing(couldNot: "start") { () throws(KernelError) in try Capabilities.effective() }
        let missing = Capabilities([.netAdmin, .bpf]).subtracting(effective)
        guard missing.isEmpty else { throw Refusal(missing: missing) }
    }

    /// Forwards until SIGTERM, SIGINT, or a request to stop.
    ///
    /// - Parameter patience: how long the edges are waited for at the start; for ever where nothing is said.
    /// - Throws: why it could not begin or go on.
    package func run(patience: Duration?) throws(Refusal) {
        let server = try ControlServer(path: settings.controlSocket)
        let serving = try refusing(couldNot: "answer on the control socket") { () throws(KernelError) in
            try LinuxSystem.Thread(named: "fwd-control") { [self] in
                server.serve { (request: ControlRequest) throws(Refusal) in try answer(request) }
            }
        }
        let outcome = Result { () throws(Refusal) in try forward(patience) }
        server.stop()
        serving.join()
        try outcome.get()
    }

    private func forward(_ patience: Duration?) throws(Refusal) {
        let watch = try refusing(couldNot: "follow the interfaces") { () throws(KernelError) in try LinkWatch() }
        let tailscaled = try refusing(couldNot: "ask tailscaled") { () throws(KernelError) in
            try SubnetRouteWatch(socket: settings.tailscaledSocket)
        }
        defer { tailscaled.end() }
        var host = try refusing(couldNot: "ask for interfaces") { () throws(KernelError) in try Host() }
        // A rule for an interface that cannot be an edge could cut the host off.
        if let refusal = try unfit(settings, host) { throw refusal }
        let names = settings.dns.mode == .on ? try NameService(settings.dns) : nil
        nameService.withLock { $0 = names }
        defer { names?.end() }
        var session = try Session(settings, &host)
        var course = Course(deadline: patience.map { .now + $0 })
        // The first packets should know already which networks stay here.
        _ = UnixSocket.wait([(signals.raw, POLLIN), (tailscaled.descriptor, POLLIN)], milliseconds: 2_000)
        do throws(Refusal) {
            while true {
                state.withLock { $0 = .running(session) }
                try follow(session, &course, tailscaled, names, host)
                switch wait(for: session, watch, tailscaled, names, until: course.nextLook) {
                case .news: break
                case .hangUp:
                    session = try reload(session, &course, &host)
                    tailscaled.move(to: settings.tailscaledSocket)
                case .stop:
                    try finish(session)
                    let down = nextCommand("down", controlSocket: settings.controlSocket)
                    log.info("stopped; exit traffic is dropped until the next run, or until `\(down)`")
                    return
                case .loopEnded:
                    try finish(session)
                    throw Refusal(
                        couldNot: "go on forwarding", because: "the packet loop has ended without a reason",
                        remedy: "start it again as before", exitCode: .bug)
                }
            }
        } catch {
            state.withLock { $0 = .stopping }
            if !session.hasForwarded { names?.takeBack() }
            session.takeBack(host)
            throw error
        }
    }

    // MARK: Following

    /// What is known from one look at the edges to the next.
    private struct Course {
        typealias Instant = ContinuousClock.Instant

        /// When to give up, as long as nothing was forwarded.
        var deadline: Instant?
        var isFirstLook = true
        /// Names of interfaces that have been uplinks.
        var uplinks: Set<String> = []
        /// What was last told to be missing: it is told once.
        var told: [String]?
        /// What tailscaled last told, and so did we.
        var routes: SubnetRouteWatch.Answer?
        /// How often the host's own ports are looked up: what it binds inside our range is a person's explicit choice.
        var portsLookedUp = Instant.now
        /// When the last interface but our own went away.
        var abandoned: Instant?
        var hadInterfaces = false
        /// When the start is over: the looks that it gives rise to are done by then.
        var startEnds: Instant?
        /// How the control plane was last told to be known.
        var controlPlane: String?
        /// What was last warned of: it is told once.
        var warned: String?
        /// After a look that failed, the next one is soon.
        var retry: Instant?
        /// When resolv.conf may be taken over again.
        var namesRetry: Instant?

        var nextLook: Instant {
            [deadline, retry, namesRetry, startEnds, abandoned.map { $0 + RunningNode.abandonment }].compactMap(\.self)
                .reduce(portsLookedUp + RunningNode.minute, min)
        }
    }

    private static let minute = Duration.seconds(60)
    /// A container's owner takes its interfaces one by one, and may be about to bring the next.
    private static let abandonment = Duration.seconds(5)

    /// Looks at the edges and has the session meet them.
    ///
    /// - Throws: what ends the node: a first look that fails, no edges by the deadline, a namespace that is left.
    private func follow(
        _ session: Session, _ course: inout Course, _ tailscaled: SubnetRouteWatch, _ names: NameService?,
        _ host: borrowing Host
    ) throws(Refusal) {
        let routes = tailscaled.takeAnswer()
        if course.routes != routes { tell(routes) }
        course.routes = routes
        let settings = settings.keeping(routes.routes)
        let now = ContinuousClock.now
        var missing: [String] = []
        var unfit: Refusal?
        var edges = Edges.none
        do throws(KernelError) {
            edges = try Edges(settings, host.netlink, formerly: course.uplinks)
            course.uplinks.formUnion(edges.uplinks.links.map(\.name))
            unfit = edges.unfit(settings) ?? edges.uplinks.lockOut(settings)
            tunnel.follow(edges, settings, log)
            course.hadInterfaces = course.hadInterfaces || !edges.isAbandoned
            course.abandoned = course.hadInterfaces && edges.isAbandoned ? course.abandoned ?? now : nil
            missing = edges.missing
            let encapsulation = tunnel.encapsulation(settings)
            let ended = unfit == nil ? try session.follow(edges, settings, passing: encapsulation, host) : 0
            if ended > 0 { log.notice("the exit address changed: its flows ended", metadata: ["flows": "\(ended)"]) }
            course.retry = nil
            tell(session.controlPlane, &course)
            // A warning that cannot be had is no failure.
            if let finding = try? Probe.rules(settings, host.netlink, isClosed: true) { warn(of: finding, &course) }
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
        course.namesRetry = names?.follow(edges, tailscaledSocket: settings.tailscaledSocket, log)
        if let unfit { throw unfit }
        if course.told != missing {
            tell(missing, session, settings)
            if missing.isEmpty { course.startEnds = now + .seconds(1) }
        }
        if let ended = course.startEnds, now >= ended {
            ResidentMemory.forgetStart()
            course.startEnds = nil
        }
        course.told = missing
        if missing.isEmpty { course.deadline = nil }
        if now >= course.portsLookedUp + Self.minute {
            session.holdPorts()
            course.portsLookedUp = now
        }
        if let abandoned = course.abandoned, now >= abandoned + Self.abandonment {
            throw Refusal(
                couldNot: "go on forwarding",
                because: "no interface is left in this network namespace: its container has ended or was made anew",
                remedy: "make those anew that shared it: docker compose up -d --force-recreate tailscale forwarder",
                exitCode: .unavailable)
        }
        if let deadline = course.deadline, now >= deadline {
            throw Refusal(
                couldNot: "forward", because: "there is still no \(missing.joined(separator: ", no "))",
                remedy: "start tailscaled and the VPN first, name the interfaces with --tailnet and --vpn, "
                    + "or wait longer with --wait",
                exitCode: .unavailable)
        }
    }

    private func unfit(_ settings: NodeSettings, _ host: borrowing Host) throws(Refusal) -> Refusal? {
        try refusing(couldNot: "ask for interfaces") { () throws(KernelError) in
            let edges = try Edges(settings, host.netlink)
            return edges.unfit(settings) ?? edges.uplinks.lockOut(settings)
        }
    }

    private func tell(_ missing: [String], _ session: Session, _ settings: NodeSettings) {
        guard missing.isEmpty else {
            log.info("waiting for \(missing.joined(separator: ", ")); exit traffic is dropped")
            return
        }
        log.info(
            "forwarding",
            metadata: [
                "tailnet": "\(settings.tailnet)", "vpn": "\(settings.vpn)", "io": "\(session.choice.kind.rawValue)",
                "io_reason": "\(session.ioReason(settings.io))",
            ])
    }

    /// The node goes on: nothing that it forwards meets a rule.
    private func warn(of finding: Finding, _ course: inout Course) {
        let warning = finding.severity < .warning ? nil : finding.evidence
        if let warning, warning != course.warned {
            log.warning("\(warning); next: \(finding.remedy ?? "forwarder doctor")")
        }
        course.warned = warning
    }

    private func tell(_ answer: SubnetRouteWatch.Answer) {
        if let failure = answer.failure {
            let consequence =
                answer.routes == nil ? "traffic to them leaves by the VPN" : "what it told last still holds"
            log.info(
                "tailscaled does not tell on \(answer.socket) which networks it advertises: \(failure); \(consequence)")
        } else if let routes = answer.routes, !routes.prefixes.isEmpty {
            log.info(
                "the node itself routes what tailscaled advertises", metadata: ["routes": "\(routes.prefixes.count)"])
        }
        if let refused = answer.routes?.refused, !refused.isEmpty {
            log.warning("\(SubnetRoutes.refusal(refused))")
        }
    }

    private func tell(_ controlPlane: Session.ControlPlane, _ course: inout Course) {
        let news =
            switch controlPlane {
            case .marked(let cgroup): "tailscaled's control plane is marked at its cgroup \(cgroup.path)"
            case .bearingItsOwn(let because): "tailscaled's control plane bears its own mark only: \(because)"
            }
        if news != course.controlPlane { log.info("\(news)") }
        course.controlPlane = news
    }

    private enum Event { case news, hangUp, stop, loopEnded }

    /// Waits until something happened, or a look is due.
    private func wait(
        for session: Session, _ watch: borrowing LinkWatch, _ tailscaled: SubnetRouteWatch,
        _ names: NameService?, until nextLook: ContinuousClock.Instant
    ) -> Event {
        while true {
            let left = ContinuousClock.now.duration(to: min(nextLook, tunnel.nextLook ?? nextLook))
            let ready = UnixSocket.wait(
                [
                    (signals.raw, POLLIN), (stopRequest.raw, POLLIN), (session.endedDescriptor, POLLIN),
                    (watch.descriptor, POLLIN), (tailscaled.descriptor, POLLIN),
                    // poll(2) passes over a negative one.
                    (names?.descriptor ?? -1, POLLIN),
                ], milliseconds: max(0, CInt(clamping: Int64(left / .milliseconds(1)) + 1)))
            if ready[0] != 0 { return signals.next() == SIGHUP ? .hangUp : .stop }
            if ready[1] != 0 { return .stop }
            if ready[2] != 0 { return .loopEnded }
            // What was announced may be none of ours. A watch that fails tells nothing: look.
            let isNews = ready[4] != 0 || ready[5] != 0 || (ready[3] != 0 && (try? watch.drain()) != false)
            let isOtherTunnel = tunnel.look(settings, log, sent: { session.clientPackets })
            if isNews || isOtherTunnel || ContinuousClock.now >= nextLook { return .news }
        }
    }

    // MARK: Changes and ends

    /// Reads the settings again. Those that the loop is made of take a new session, without the old one's flows.
    /// Settings that cannot be met here are given up for the old ones.
    private func reload(
        _ session: consuming Session, _ course: inout Course, _ host: inout Host
    ) throws(Refusal) -> Session {
        let old = settings
        let new: NodeSettings
        do throws(Refusal) {
            new = try reread()
            if let refusal = try unfit(new, host) { throw refusal }
            guard new.controlSocket == old.controlSocket else {
                throw Refusal(
                    couldNot: "take a new control socket", because: "the node answers on \(old.controlSocket)",
                    remedy: "start the node again", exitCode: .usage)
            }
        } catch {
            log.error("the new settings are refused, the old ones stay: \(error)")
            return session
        }
        current.withLock { $0 = new }
        log.info("settings read again")
        if new.dns != old.dns { log.notice("how names are split changes with the next start") }
        let edges = Set([new.tailnet, new.vpn])
        if edges != [old.tailnet, old.vpn] { course.told = nil }
        session.leave(edges: [old.tailnet, old.vpn].filter { !edges.contains($0) })
        guard (new.io, new.flows, new.bindingPorts) != (old.io, old.flows, old.bindingPorts) else { return session }
        log.notice("these settings take a new packet loop: all flows end, and the counts begin again")
        try finish(session)
        course.told = nil
        do throws(Refusal) {
            let new = try Session(new, &host)
            new.leave(edges: session.edgesToLeave)
            return new
        } catch {
            log.error("the new settings cannot be met here, the old ones are taken again: \(error)")
            current.withLock { $0 = old }
            return try Session(old, &host)
        }
    }

    private func finish(_ session: Session) throws(Refusal) {
        state.withLock { $0 = .stopping }
        do throws(KernelError) {
            try session.end()
        } catch {
            throw Refusal(portTaken: error)
        }
    }

    // MARK: Answers

    private func answer(_ request: ControlRequest) throws(Refusal) -> any Report {
        let state = state.withLock { $0 }
        switch request {
        case .status: return try StatusReport(self, state)
        case .flows(let top, let addresses): return try FlowsReport(state, top: top, addresses: addresses)
        case .stop:
            stopRequest.signal()
            return try StatusReport(self, .stopping)
        }
    }
}
