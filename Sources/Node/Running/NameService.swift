import LinuxNetwork
import LinuxSystem
import Logging
import PacketParse
import SplitDNS
import Steering
import Synchronization

/// Split DNS of a running node: the stub resolver, and the file by which the namespace's own processes come to it.
///
/// The file is taken over at the first look at the edges and stays taken over when the node ends: then names are not
/// answered at all, by neither side. `forwarder down` gives it back, the next `run` finds what it holds.
final class NameService: Sendable {
    typealias Instant = ContinuousClock.Instant

    static let file = TextFile("/etc/resolv.conf")
    /// Somebody who writes the file again each time meets us no more often.
    private static let interval = Duration.seconds(1)

    private let settings: DNSSettings
    private let stub: Stub
    private let watch: FileWatch
    private let state: Mutex<State>

    private struct State {
        /// Of the VPN's side, as it is asked now; none while none is known.
        var resolver: IPAddress?
        var hasToldOfNone = false
        var isTakenOver = false
        /// Whether a node before us had taken it over.
        var wasTakenOver: Bool
        var lastWritten: Instant?
        /// Why the file cannot be taken over.
        var obstacle: String?
        /// What was last told: it is told once.
        var told: String?
        var hasToldRewriting = false
    }

    /// Answers from here on; nothing is asked before `follow` has met an edge.
    init(_ settings: DNSSettings) throws(Refusal) {
        self.settings = settings
        let found = ResolvConf((try? Self.file.read()) ?? [])
        let resolver = settings.vpn ?? found.resolver
        stub = try Self.stub(settings, resolver)
        watch = try refusing(couldNot: "follow \(Self.file.path)") { () throws(KernelError) in
            try FileWatch(Self.file.path)
        }
        state = Mutex(State(resolver: resolver, wasTakenOver: found.isOurs))
    }

    private static func stub(_ settings: DNSSettings, _ resolver: IPAddress?) throws(Refusal) -> Stub {
        do throws(Stub.Unbindable) {
            return try Stub(
                at: settings.listen.address, port: Int(settings.listen.port),
                direct: Resolver(settings.direct, mark: PacketMark.question.value), vpn: resolver.map { Resolver($0) },
                names: DirectNames(below: settings.directNames))
        } catch {
            throw Refusal(listening: settings.listen, errno: error.errno)
        }
    }

    /// Readable when somebody has touched the file.
    var descriptor: CInt { watch.raw }

    func end() { stub.end() }

    // MARK: Following

    /// Meets the edges as they are now, and has the file ask us.
    ///
    /// - Returns: when to look again before anything happens; nil where nothing is left to do.
    func follow(_ edges: Edges, tailscaledSocket: String, _ log: Logger) -> Instant? {
        stub.follow(tailscaledAt: tailscaledSocket)
        let next = takeOver(log)
        let (resolver, isNews) = state.withLock { state in
            let isNews = state.resolver == nil && !state.hasToldOfNone
            state.hasToldOfNone = state.resolver == nil
            return (state.resolver, isNews)
        }
        if isNews {
            log.warning("\(Self.nobody.because); other names than Tailscale's fail; next: \(Self.nobody.remedy)")
        }
        stub.reach(directBy: edges.upUplink, vpnBy: resolver.flatMap { edges.vpn(reaching: $0) })
        return next
    }

    private func takeOver(_ log: Logger) -> Instant? {
        watch.rearm()
        let now = ContinuousClock.now
        do throws(KernelError) {
            let text = try Self.file.read() ?? []
            let found = ResolvConf(text)
            let ours = found.asking(settings.listen.address)
            if text != ours {
                let earliest = state.withLock { $0.lastWritten.map { $0 + Self.interval } }
                if let earliest, now < earliest {
                    state.withLock { $0.isTakenOver = false }
                    return earliest
                }
                try Self.file.write(ours)
            }
            settled(found, hasWritten: text != ours, now, log)
            return nil
        } catch {
            if let text = (try? Self.file.read()) ?? nil, ResolvConf(text).asksOnly(settings.listen.address) {
                settled(ResolvConf(text), hasWritten: false, now, log)
                return nil
            }
            let obstacle = "\(Self.file.path) does not ask us: \(error)"
            let isNew = state.withLock { state in
                defer { (state.isTakenOver, state.obstacle, state.told) = (false, obstacle, obstacle) }
                return state.told != obstacle
            }
            if isNew { log.warning("\(obstacle); names are not split; next: \(Self.remedy(settings))") }
            return nil
        }
    }

    private func settled(_ found: ResolvConf, hasWritten: Bool, _ now: Instant, _ log: Logger) {
        enum News { case none, taken, rewritten }
        let (news, resolver): (News, IPAddress?) = state.withLock { state in
            let isFirst = state.lastWritten == nil
            if hasWritten { state.lastWritten = now }
            (state.isTakenOver, state.obstacle, state.told) = (true, nil, nil)
            var resolver: IPAddress?
            if settings.vpn == nil, let named = found.resolver, named != state.resolver {
                state.resolver = named
                resolver = named
            }
            guard hasWritten else { return (.none, resolver) }
            if isFirst { return (.taken, resolver) }
            defer { state.hasToldRewriting = true }
            return (state.hasToldRewriting ? .none : .rewritten, resolver)
        }
        if let resolver { stub.ask(vpn: Resolver(resolver)) }
        switch news {
        case .none: break
        case .taken: log.info("\(Self.file.path) asks us, and names are split")
        case .rewritten:
            log.notice("somebody has rewritten \(Self.file.path): taken over again, as from now on without a word")
        }
    }

    static func remedy(_ settings: DNSSettings) -> String {
        "mount it writable (compose: no `read_only: true`), "
            + "or have its owner write `nameserver \(settings.listen.address)`"
    }

    static let nobody = (
        because: "\(file.path) names no resolver on the VPN's side: loopback and Tailscale's 100.100.100.100 are none",
        remedy: "name the VPN's resolver, for example FORWARDER_DNS_VPN=10.64.0.1"
    )

    // MARK: Giving back

    /// After a start that failed: the file is as it was, also where a node before us had it.
    func takeBack(_ log: Logger) {
        guard state.withLock({ $0.lastWritten != nil && !$0.wasTakenOver }) else { return }
        do throws(KernelError) { _ = try Self.giveBack() } catch {
            log.warning("\(Self.file.path) still asks us, and nobody answers: \(error); next: forwarder down")
        }
    }

    /// Gives the file back, whichever node has taken it over.
    ///
    /// - Returns: whether it was taken over.
    static func giveBack() throws(KernelError) -> Bool {
        guard let text = try file.read() else { return false }
        let found = ResolvConf(text)
        guard found.original != text else { return false }
        try file.write(found.original)
        return true
    }

    // MARK: Answers

    var report: StatusReport.DNS {
        state.withLock { state in
            StatusReport.DNS(
                listen: "\(settings.listen)", direct: "\(settings.direct)", vpn: state.resolver.map { "\($0)" },
                isTakenOver: state.isTakenOver, because: state.obstacle, counts: stub.counts)
        }
    }

    /// What would keep a start from splitting names: nil where nothing would.
    static func obstacle(_ settings: DNSSettings) -> Refusal? {
        do throws(Refusal) {
            try stub(settings, nil).end()
            return nil
        } catch {
            return error
        }
    }
}

extension Edges {
    fileprivate var upUplink: Int32? { uplink.flatMap { $0.isUp ? $0.index : nil } }

    /// Only where the edge has an address of the resolver's family: else the kernel would take another interface's, and show
    /// the home address to the VPN.
    fileprivate func vpn(reaching resolver: IPAddress) -> Int32? {
        guard let vpn, vpn.isUp, (resolver.isV4 ? outside.v4 : outside.v6) != nil else { return nil }
        return vpn.index
    }
}

extension Refusal {
    fileprivate init(listening endpoint: Endpoint, errno: CInt) {
        let couldNot = "split DNS"
        let error = KernelError("bind", .init(rawValue: errno), "\(endpoint)")
        switch error.errno {
        case .addressInUse:
            self.init(
                couldNot: couldNot,
                because: "\(endpoint) is taken by another DNS server: Gluetun's own, or another forwarder",
                remedy:
                    "give the Gluetun container `DNS_SERVER=off`, or end the one that `ss -lnp 'sport = :53'` shows",
                exitCode: .unavailable)
        case .permissionDenied, .notPermitted:
            self.init(
                couldNot: couldNot, because: "ports below 1024 are not for this process (\(error))",
                remedy: "give the container `cap_add: [NET_BIND_SERVICE]`, "
                    + "or `sysctls: [net.ipv4.ip_unprivileged_port_start=53]`", exitCode: .notPermitted)
        default: self.init(couldNot: couldNot, error)
        }
    }
}
