import FoundationEssentials
import LinuxNetwork
import LinuxSystem
import Logging
import Synchronization

/// Follows the VPN's tunnel: what it tells of itself, and whether anything comes back out of it.
///
/// It wakes nobody while there is no tunnel, and else each quarter of `vpn_stale`, once a second at most. Whoever makes
/// the tunnel is asked with the node's own patience, `WireGuardSocket.patience`.
final class TunnelWatch: Sendable {
    typealias Instant = ContinuousClock.Instant

    private let state = Mutex(State())

    private struct State {
        /// The interface that is judged; none while the tunnel is down.
        var link: Link?
        var liveness = Liveness()
        /// Of the last change.
        var since = Date()
        var isKnown = false
        /// As it was last told, be it by an interface that is gone: the next one's first packets look like its.
        var device: WireGuardDevice?
        /// The index of that interface.
        var deviceIndex: Int32?
        /// Who takes long over an answer is asked less often.
        var nextQuestion = Instant.now
        var nextLook: Instant?
    }

    /// When a look is due; nil while there is nothing to judge.
    var nextLook: Instant? { state.withLock { $0.nextLook } }

    /// By what the VPN's own packets are known.
    func encapsulation(_ settings: NodeSettings) -> Encapsulation {
        state.withLock { Encapsulation(settings.tunnel, $0.device) }
    }

    /// Meets the edges as they are now.
    func follow(_ edges: Edges, _ settings: NodeSettings, _ log: Logger) {
        let now = Instant.now
        if let obstacle = edges.tunnelObstacle(settings.vpn) {
            change(log, settings) { state in
                state.link = nil
                state.nextLook = nil
                state.liveness.lose(because: obstacle)
            }
            return
        }
        guard let link = edges.vpn else { return }
        ask(link)
        change(log, settings) { state in
            // Settings may want it sooner than those before.
            state.nextLook = min(state.nextLook ?? now, now + Liveness.interval(settings.tunnel.stale.duration))
            guard state.link?.index != link.index else { return }
            state.link = link
            state.nextLook = now
            state.liveness.begin()
        }
    }

    /// Looks whether anything came back, if it is time to.
    ///
    /// - Parameter sent: clients' packets that have gone into the tunnel since the node began; nil where that could not be
    ///   had this time.
    /// - Returns: whether the VPN's own packets are known by something else than before.
    func look(_ settings: NodeSettings, _ log: Logger, sent: () -> UInt64?) -> Bool {
        let now = Instant.now
        guard let link = state.withLock({ ($0.nextLook ?? now + .seconds(1)) <= now ? $0.link : nil }) else {
            return false
        }
        let before = encapsulation(settings)
        let stale = settings.tunnel.stale.duration
        ask(link)
        // An interface that is gone meanwhile is met by the next news.
        let received = ((try? Netlink().link(index: link.index)) ?? nil)?.receivedPackets
        let sent = sent()
        change(log, settings) { state in
            state.nextLook = now + Liveness.interval(stale)
            guard let received, let sent else { return }
            state.liveness.look(
                .init(
                    sent: sent, received: received, decrypted: state.device?.receivedBytes,
                    handshake: state.device.handshake), at: now, stale: stale)
        }
        return encapsulation(settings) != before
    }

    /// Without the lock: status is not kept waiting for whoever is asked.
    private func ask(_ link: Link) {
        let begin = Instant.now
        let (isOther, mayAsk) = state.withLock { ($0.deviceIndex != link.index, begin >= $0.nextQuestion) }
        guard isOther || mayAsk else { return }
        let device = WireGuardDevice.read(link)
        state.withLock { state in
            // News that follow each other closely ask once, and asking takes a twentieth of our time at most.
            state.nextQuestion = begin + max(.milliseconds(500), (.now - begin) * 20)
            // One that does not tell this time has changed nothing. Another one that does not tell is another tunnel.
            if device != nil || isOther { (state.device, state.deviceIndex) = (device, link.index) }
        }
    }

    /// A change is told once.
    private func change(_ log: Logger, _ settings: NodeSettings, _ body: (inout State) -> Void) {
        let change: (from: Liveness.State?, to: Liveness.State)? = state.withLock { state in
            let before = state.isKnown ? state.liveness.state : nil
            body(&state)
            state.isKnown = true
            guard before != state.liveness.state else { return nil }
            state.since = Date()
            return (before, state.liveness.state)
        }
        guard let change else { return }
        let name = settings.vpn
        switch change.to {
        case .up: if change.from != nil { log.notice("the VPN on \(name) is up again") }
        case .stale(let reason):
            log.warning(
                "the VPN on \(name) is stale: \(reason.sentence(settings.tunnel.stale)); packets go on into it, and by no other way; next: \(Self.remedy(name))"
            )
        // At the start it is told as what the node waits for.
        case .down(let because): if change.from != nil { log.notice("the VPN is down: \(because)") }
        }
    }

    static func remedy(_ name: String) -> String {
        "start the VPN again, for example wg-quick down \(name) && wg-quick up \(name), or have it use another of the "
            + "provider's servers; Gluetun does both by itself"
    }

    // MARK: Answers

    /// Nil before the first look at the edges.
    func report(_ settings: NodeSettings) -> StatusReport.VPN? {
        state.withLock { state in
            guard state.isKnown else { return nil }
            var report = StatusReport.VPN(state: .up, since: state.since)
            switch state.liveness.state {
            case .up: break
            case .stale(let reason):
                report.state = .stale
                report.because = reason.sentence(settings.tunnel.stale)
            case .down(let because):
                report.state = .down
                report.because = because
            }
            if state.link != nil, let device = state.device {
                report.wireguard = device.source
                report.lastHandshake = device.lastHandshake.map { Date(timeIntervalSince1970: Double($0)) }
                report.receivedBytes = device.receivedBytes
                report.sentBytes = device.sentBytes
            }
            let encapsulation = Encapsulation(settings.tunnel, state.device)
            report.fwmark = encapsulation.marks.first
            report.endpoints = encapsulation.endpoints.map(\.description)
            return report
        }
    }
}

extension Liveness.Reason {
    fileprivate func sentence(_ stale: Seconds) -> String {
        switch self {
        case .nothingCameBack: "clients have sent into it for \(stale), and nothing came back"
        case .handshakeIsOld: "clients send into it, nothing comes back, and its last handshake is too old"
        }
    }
}

extension WireGuardDevice? {
    fileprivate var handshake: Liveness.Handshake {
        guard let device = self else { return .unknown }
        guard let last = device.lastHandshake else { return .never }
        // A clock that was set back makes it no younger than now.
        return .ago(.seconds(max(0, Date().timeIntervalSince1970 - Double(last))))
    }
}

extension Edges {
    /// Why nothing can go into the VPN's tunnel.
    fileprivate func tunnelObstacle(_ name: String) -> String? {
        guard let vpn else { return "there is no \(name)" }
        guard vpn.isUp else { return "\(name) is down" }
        return outside.v4 == nil && outside.v6 == nil ? "\(name) has no address" : nil
    }
}
