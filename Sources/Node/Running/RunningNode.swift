import Cap
import DataPlane
import FoundationEssentials
import Glibc
import LinuxNetwork
package import LinuxSystem
import LocalAPI
import Logging
import Synchronization
import SystemPackage

/// A node from `forwarder run` to its end: closes the host, waits for the edges and follows them, answers on the control
/// socket, stops.
///
/// Five threads: the caller's follows signals and interfaces, one answers the control socket, one asks tailscaled, one
/// moves packets, one watches whether it does. A sixth answers names, where these are split; one more counts what is used of
/// a cap, and one writes its ledger. Two tell metrics and health over HTTP.
package final class RunningNode: Sendable {
    enum State: Sendable {
        case starting
        case running(Session)
        case stopping
    }

    /// Some fifty to forward and to count, sixteen for who asks on the control socket and as many on the admin endpoint, the
    /// rest to answer them. It is asked for at once because not everything that lacks one says so: libbpf blames the
    /// programs, and the host's own ports would seem to be free.
    static let descriptors: UInt64 = 96

    private let signals: SignalDescriptor
    private let current: Mutex<NodeSettings>
    /// Reads the settings again, as at the start.
    let reread: @Sendable () throws(Refusal) -> NodeSettings
    private let state = Mutex(State.starting)
    private let journal: Journal
    let supervisor: Supervisor?
    private let watchdog: Watchdog
    /// Of the last session.
    private let lastInquiries = Mutex<Inquiries?>(nil)
    private let abandon: @Sendable (Refusal, LogFormat) -> Never
    /// What could be put in order without the loop is.
    private let inOrder: EventDescriptor
    private let stopRequest: EventDescriptor
    private let nameService = Mutex<NameService?>(nil)
    let quota = Mutex<QuotaWatch?>(nil)
    /// Seconds since 1970.
    let capLifted = Mutex(Int64.min)
    let tunnel = TunnelWatch()
    private let clientNames = ClientNames()
    /// What the last look found that a person should know.
    let noted = Mutex<[String]>([])

    /// Since the host is closed.
    private let adminService = Mutex<AdminService?>(nil)

    var admin: AdminService? { adminService.withLock { $0 } }

    var nameReport: StatusReport.DNS? { nameService.withLock { $0 }?.report }

    var tunnelReport: StatusReport.VPN? { tunnel.report(settings) }

    package var settings: NodeSettings { current.withLock { $0 } }

    /// Has these hold from now on.
    func take(_ settings: NodeSettings) {
        current.withLock { $0 = settings }
        journal.follow(settings)
    }

    var log: Logger { journal.log }

    var now: State { state.withLock { $0 } }

    /// - Parameters:
    ///   - supervisor: who is told how it stands.
    ///   - abandon: ends the process at once, on whatever thread: when the packet loop is stuck.
    package init(
        _ journal: Journal, under supervisor: Supervisor? = nil,
        abandon: @escaping @Sendable (Refusal, LogFormat) -> Never,
        readingSettings reread: @escaping @Sendable () throws(Refusal) -> NodeSettings
    ) throws(Refusal) {
        _ = ProcessFigures.startedAt
        // Before any thread, which inherits what is not its to take, and before a hang-up could end us.
        signals = try refusing(couldNot: "start") { () throws(KernelError) in
            try SignalDescriptor([SIGTERM, SIGINT, SIGHUP])
        }
        let settings = try reread()
        journal.follow(settings)
        current = Mutex(settings)
        self.reread = reread
        self.journal = journal
        self.supervisor = supervisor
        self.abandon = abandon
        guard OwnedDescriptor.limit >= Self.descriptors else {
            throw Refusal(openFiles: OwnedDescriptor.limit, of: Self.descriptors)
        }
        stopRequest = try refusing(couldNot: "start") { () throws(KernelError) in try EventDescriptor() }
        inOrder = try refusing(couldNot: "start") { () throws(KernelError) in try EventDescriptor() }
        watchdog = try refusing(couldNot: "start") { () throws(KernelError) in try Watchdog(for: supervisor) }
        let effective = try refusing(couldNot: "start") { () throws(KernelError) in try Capabilities.effective() }
        let missing = Capabilities([.netAdmin, .bpf]).subtracting(effective)
        guard missing.isEmpty else { throw Refusal(missing: missing) }
        // Where it may not be kept, all goes well as long as the machine is not short of it; doctor tells.
        try? LockedMemory.keepAll()
    }

    /// Forwards until SIGTERM, SIGINT, or a request to stop.
    ///
    /// - Parameter patience: how long the edges are waited for at the start; for ever where nothing is said.
    /// - Throws: why it could not begin or go on.
    package func run(patience: Duration?) throws(Refusal) {
        let server = try ControlServer(path: settings.controlSocket)
        let serving = try refusing(couldNot: "answer on the control socket") { () throws(KernelError) in
            try LinuxSystem.Thread(named: "fwd-control") { [self] in
                server.serve(whenQuiet: ResidentMemory.forgetCode) { (request: ControlRequest) throws(Refusal) in
                    try answer(request)
                }
            }
        }
        let watching = try refusing(couldNot: "watch the packet loop") { () throws(KernelError) in
            try LinuxSystem.Thread(named: "fwd-watchdog") { [self] in
                let isStuck = watchdog.watch {
                    lastInquiries.withLock { $0 }
                } atEachLook: {
                    journal.settle()
                }
                if isStuck { endStuck() }
            }
        }
        let outcome = Result { () throws(Refusal) in try forward(patience, server) }
        server.stop()
        serving.join()
        watchdog.stop()
        watching.join()
        try outcome.get()
    }

    private func forward(_ patience: Duration?, _ server: ControlServer) throws(Refusal) {
        let watch = try refusing(couldNot: "follow the interfaces") { () throws(KernelError) in try LinkWatch() }
        let tailscaled = try refusing(couldNot: "ask tailscaled") { () throws(KernelError) in
            try SubnetRouteWatch(socket: settings.tailscaledSocket)
        }
        defer { tailscaled.end() }
        try QuotaWatch.expectDirectory(settings)
        var host = try refusing(couldNot: "ask for interfaces") { () throws(KernelError) in try Host() }
        let lock = try Host.lock()
        let (edges, routing) = try choose(settings, host)
        let names = settings.dns.mode == .on ? try NameService(settings.dns) : nil
        nameService.withLock { $0 = names }
        defer { names?.end() }
        var session = try Session(settings, edges, routing, &host)
        lock.release()
        // From here on the host is closed, and whoever waits for that is answered.
        run(session)
        let admin = AdminService(self, log)
        adminService.withLock { $0 = admin }
        defer { admin.end() }
        var course = Course(deadline: patience.map { .now + $0 })
        // The first packets should know already which networks stay here.
        _ = UnixSocket.wait([(signals.raw, POLLIN), (tailscaled.descriptor, POLLIN)], milliseconds: 2_000)
        do throws(Refusal) {
            // Nothing is forwarded before what was used is known.
            try beginQuota(session, settings)
            var isToldReady = false
            while true {
                run(session)
                try follow(session, &course, tailscaled, names, host)
                restore(server, &course.told)
                if !isToldReady { supervisor?.tellReady(Self.statusLine(session.missing)) }
                isToldReady = true
                switch wait(for: session, watch, tailscaled, names, until: course.nextLook) {
                case .news: break
                case .hangUp:
                    admin.rereadToken()
                    supervisor?.tellReloading()
                    isToldReady = false
                    session = try reload(session, &course, &host)
                    tailscaled.move(to: settings.tailscaledSocket)
                case .stop:
                    supervisor?.tellStopping()
                    session.close()
                    endQuota()
                    try finish(session)
                    let down = nextCommand("down", controlSocket: settings.controlSocket)
                    log.info("stopped; exit traffic is dropped until the next run, or until `\(down)`")
                    return
                case .loopEnded:
                    endQuota()
                    try finish(session)
                    throw Refusal(
                        couldNot: "go on forwarding", because: "the packet loop has ended without a reason",
                        remedy: "start it again as before", exitCode: .bug)
                }
            }
        } catch {
            supervisor?.tellStopping()
            state.withLock { $0 = .stopping }
            session.close()
            endQuota()
            if !session.hasForwarded { names?.takeBack(log) }
            session.takeBack(host)
            throw error
        }
    }

    private func run(_ session: Session) {
        lastInquiries.withLock { $0 = session.inquiries }
        state.withLock { $0 = .running(session) }
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
                    (names?.descriptor ?? -1, POLLIN), (watchdog.callDescriptor, POLLIN),
                ], milliseconds: max(0, CInt(clamping: Int64(left / .milliseconds(1)) + 1)))
            if ready[0] != 0 { return signals.next() == SIGHUP ? .hangUp : .stop }
            if ready[1] != 0 { return .stop }
            if ready[2] != 0 { return .loopEnded }
            if ready[6] != 0 { watchdog.follow() }
            // What was announced may be none of ours. A watch that fails tells nothing: look.
            let isNews = ready[4] != 0 || ready[5] != 0 || (ready[3] != 0 && (try? watch.drain()) != false)
            let isOtherTunnel = tunnel.look(settings, log, sent: { session.clientPackets })
            if isNews || isOtherTunnel || ContinuousClock.now >= nextLook { return .news }
        }
    }

    // MARK: The end

    func finish(_ session: Session) throws(Refusal) {
        state.withLock { $0 = .stopping }
        do throws(KernelError) {
            try session.end()
        } catch {
            throw Refusal(portTaken: error)
        }
    }

    /// Milliseconds that what can still be put in order may take.
    private static let grace: Int32 = 2_000

    /// Ends a process whose loop is stuck: what it has closed stays closed, and who starts it again has another loop.
    private func endStuck() -> Never {
        supervisor?.tell(status: "the packet loop is stuck")
        // Not on this thread: others may hold what that takes, and wait for the loop.
        _ = try? LinuxSystem.Thread(named: "fwd-end") { [self] in
            if case .running(let session) = now { session.close() }
            endQuota()
            inOrder.signal()
        }
        _ = inOrder.wait(milliseconds: Self.grace)
        abandon(
            Refusal(
                couldNot: "go on forwarding", because: "the packet loop is stuck: it has not answered for seconds",
                remedy: "start it again as before; until then exit traffic is dropped", exitCode: .bug),
            settings.logFormat)
    }

    // MARK: The cap

    /// - Parameter uncappedSince: since when the session has counted without one.
    func beginQuota(
        _ session: Session, _ settings: NodeSettings, uncappedSince: Int64? = nil
    ) throws(Refusal) {
        guard settings.cap.limit != nil else { return }
        let watch = try QuotaWatch(
            settings.cap, in: settings.stateDirectory, of: session, uncappedSince: uncappedSince, log)
        quota.withLock { $0 = watch }
    }

    /// What passes after this is on no bill: the ways are closed before it.
    ///
    /// - Returns: whether all before it is.
    @discardableResult
    func endQuota() -> Bool {
        let watch = quota.withLock { $0.take() }
        return watch?.end() ?? true
    }

    // MARK: Answers

    private func answer(_ request: ControlRequest) throws(Refusal) -> any Report {
        let state = now
        switch request {
        case .status: return try status(state)
        case .health: return health
        case .flows(let top, let addresses): return try FlowsReport(state, top: top, addresses: addresses)
        case .clients(let top, let addresses):
            let names = addresses == .revealed ? clientNames.answer(at: settings.tailscaledSocket) : nil
            return try ClientsReport(state, top: top, names: names)
        case .quota(let change):
            guard let quota = quota.withLock({ $0 }) else {
                throw settings.cap.limit == nil ? .nothingCapped : .notYetCounting
            }
            switch change {
            case nil: break
            case .grant(let count): try quota.grant(ByteCount(count))
            case .lift: try quota.lift()
            case .reset: try quota.reset()
            }
            return quota.report
        case .stop:
            stopRequest.signal()
            return try status(.stopping)
        }
    }

    private func status(_ state: State) throws(Refusal) -> StatusReport {
        var report = try StatusReport(self, state)
        report.events = journal.events.map(StatusReport.Event.init)
        return report
    }
}
