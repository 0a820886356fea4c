import Glibc
import LinuxNetwork
import LinuxSystem
import Steering

// What a running node knows of its own health, and the judgement.

extension HealthReport {
    /// What is judged, as it is at one moment.
    struct Facts {
        /// Whether the packet loop answers.
        var isAnswering = true
        /// What is waited for.
        var missing: [String] = []
        var guarding = GuardMode.on
        var uplinks: [String] = []
        /// Uplinks without a guard.
        var unguarded: [String] = []
        /// Packets that a guard that observes let pass.
        var leaked: UInt64 = 0
        /// What of rules and routes is gone.
        var gone: [String] = []
        /// What the kernel does not tell.
        var unreadable: String?
        /// None where nothing is capped.
        var ledger: Ledger?
        var vpn: StatusReport.VPN?
        var stateDirectory = NodeSettings().stateDirectory
        var vpnName = NodeSettings().vpn
    }

    /// How the count of the cap stands.
    enum Ledger {
        /// Not opened yet, or closed already.
        case closed
        case open(findings: [QuotaReport.Finding])
    }

    init(judging facts: Facts) {
        var reasons: [Reason] = []
        guard facts.isAnswering else {
            self.init([
                Reason(
                    .loopSilent, "the packet loop has not answered for a second",
                    remedy: "wait: a loop that stays so ends the node, with exit code 70; then start it again")
            ])
            return
        }
        if !facts.missing.isEmpty {
            reasons.append(
                Reason(
                    .waiting, "the node waits for \(facts.missing.joined(separator: ", "))",
                    remedy: "start tailscaled and the VPN; forwarder doctor tells more"))
        }
        if let unreadable = facts.unreadable {
            reasons.append(Reason(.unreadable, "the kernel does not tell how separate it is: \(unreadable)"))
        }
        if facts.guarding == .observe {
            reasons.append(
                Reason(.guardObserves, "the guard only observes", remedy: "set guard to on, and start the node anew"))
        }
        if facts.uplinks.isEmpty {
            reasons.append(
                Reason(
                    .noUplink, "no uplink is known, so no guard stands",
                    remedy: "name the interface that carries the tunnels: --uplink eth0"))
        }
        if !facts.unguarded.isEmpty {
            reasons.append(
                Reason(
                    .guardMissing, "no guard stands on \(facts.unguarded.joined(separator: ", "))",
                    remedy: "forwarder doctor tells who has its place"))
        }
        if facts.leaked > 0 {
            reasons.append(
                Reason(
                    .leaked, "\(facts.leaked) packets have leaked since the packet loop was started",
                    remedy: "forwarder status tells by which reason; a node that is started again counts from nothing"))
        }
        if let first = facts.gone.first {
            let others = facts.gone.count > 1 ? " and \(facts.gone.count - 1) more" : ""
            reasons.append(
                Reason(.routingOpen, "of ours this is gone: \(first)\(others)", remedy: "forwarder doctor tells more"))
        }
        reasons += Self.reasons(facts.ledger, in: facts.stateDirectory)
        if let vpn = facts.vpn, vpn.state != .up {
            let because = vpn.because ?? "for a reason that is not told"
            reasons.append(
                vpn.state == .stale
                    ? Reason(.vpnStale, "the VPN is stale: \(because)", remedy: TunnelWatch.remedy(facts.vpnName))
                    : Reason(.vpnDown, "the VPN is down: \(because)", remedy: "start the VPN"))
        }
        self.init(reasons)
    }

    private static func reasons(_ ledger: Ledger?, in directory: String) -> [Reason] {
        switch ledger {
        case nil: return []
        case .closed: return [Reason(.ledgerClosed, "what is used of the cap is not counted yet, or no more")]
        case .open(let findings):
            return findings.compactMap { finding in
                switch finding {
                case .cannotWrite:
                    Reason(.ledgerUnwritten, "the ledger cannot be written", remedy: Refusal.remedyUnwritten(directory))
                case .countersUnreadable:
                    Reason(.countersUnreadable, "the counters of what is used of the cap cannot be read")
                // They tell of the count's past, or of a crash that is to come; the guard is asked for the uplink.
                case .slotBad, .bothSlotsBad, .clockDoubtful, .countersNotPinned, .uplinkUnknown: nil
                }
            }
        }
    }
}

extension RunningNode {
    /// How it is at this moment. It asks the packet loop, which may take a second not to answer, and the kernel.
    package var health: HealthReport {
        switch now {
        case .starting:
            return HealthReport([.init(.starting, "the node is starting, and the host is not closed yet")])
        case .stopping: return HealthReport([Self.stopping])
        // Its end is news to the node's own thread, which this may be ahead of.
        case .running(let session) where session.inquiries.isOver: return HealthReport([Self.stopping])
        case .running(let session): return HealthReport(judging: facts(of: session))
        }
    }

    private static let stopping = HealthReport.Reason(.stopping, "the node is stopping, or takes a new packet loop")

    private func facts(of session: Session) -> HealthReport.Facts {
        let settings = settings
        var facts = HealthReport.Facts()
        do throws(KernelError) {
            facts.isAnswering = try session.inquiries.ask { _, _ in true } == true
        } catch {
            // The question could not be put: it says nothing of the loop.
            facts.unreadable = "\(error)"
        }
        guard facts.isAnswering else { return facts }
        facts.missing = session.missing
        facts.guarding = settings.guarding
        facts.vpn = tunnelReport
        (facts.stateDirectory, facts.vpnName) = (settings.stateDirectory, settings.vpn)
        if settings.cap.limit != nil {
            facts.ledger = quota.withLock { $0 }.map { .open(findings: $0.latestReport.findings) } ?? .closed
        }
        do throws(KernelError) {
            facts.leaked = try session.guardCounts().reduce(0) { $0 + $1.leaked.packets }
            try look(at: session, settings, &facts)
            // What was changed this moment is being put back.
            if !facts.unguarded.isEmpty || !facts.gone.isEmpty {
                settle()
                try look(at: session, settings, &facts)
            }
        } catch {
            facts.unreadable = "\(error)"
        }
        return facts
    }

    /// How separate the host is, as the kernel tells.
    private func look(
        at session: Session, _ settings: NodeSettings, _ facts: inout HealthReport.Facts
    ) throws(KernelError) {
        let uplinks = session.edges.uplinks
        let host = try Host()
        let routing = try Routing(host.netlink)
        facts.uplinks = uplinks.links.map(\.name)
        facts.unguarded = try uplinks.unguarded(host.netlink).map(\.name)
        facts.gone = []
        for step in Plan(closing: settings, beside: uplinks).steps where step.isOfRouting(routing) {
            if try !step.holds(host, routing.ours) { facts.gone.append(step.kind) }
        }
    }

    /// As long as a look of the node's takes, generously.
    private func settle() { usleep(200_000) }
}

extension Plan.Step {
    /// Whether it is a rule or a route, of a family in which the host routes.
    fileprivate func isOfRouting(_ routing: Routing) -> Bool {
        switch self {
        case .rule(let rule): routing.rules[rule.family] != nil
        // Where IPv6 is off, the kernel has no routes and takes none.
        case .route(let route):
            (routing.first + routing.ours.routes).contains {
                $0.destination.address.family == route.destination.address.family
            }
        case .program, .port, .marks: false
        }
    }

    /// What it is, without an address in it.
    fileprivate var kind: String {
        switch self {
        case .rule(let rule): "a rule of preference \(rule.preference)"
        case .route(let route): "a route in table \(route.table)"
        case .program, .port, .marks: description
        }
    }
}
