import AdminEndpoint
import LinuxNetwork
import LinuxSystem
import Logging
import Metrics
import Synchronization
import SystemPackage

/// The admin endpoint of a running node: metrics and health over HTTP. What it cannot have it does without, says so, and
/// tries again: nobody's packets wait for it.
final class AdminService: Sendable {
    typealias Instant = ContinuousClock.Instant

    private static let interval = Duration.seconds(5)
    /// Among the descriptors that a node needs.
    private static let ownConnections = 16
    /// What was read of the node is told for so long: many who ask cost no more than one.
    private static let freshness = Duration.milliseconds(250)
    /// Of health as a metric: it takes a look at the host's rules and routes.
    private static let freshnessOfChecks = Duration.seconds(5)

    /// What is told of the node.
    struct Sources: Sendable {
        let scrape: @Sendable (AdminServer.Counts) -> Scrape
        let health: @Sendable () -> HealthReport
    }

    private let sources: Sources
    private let log: Logger
    private let state = Mutex(State())
    private let scrapes = Mutex<(at: Instant, scrape: Scrape)?>(nil)
    private let healths = Mutex<(at: Instant, health: HealthReport)?>(nil)

    private struct State {
        /// As last met, whether that went well or not.
        var settings: AdminSettings?
        var server: AdminServer?
        /// Why nobody is answered.
        var trouble: String?
        var retry: Instant?
    }

    /// - Parameter node: outlives it.
    convenience init(_ node: RunningNode, _ log: Logger) {
        self.init(
            Sources(
                scrape: { [unowned node] in node.scrape($0) }, health: { [unowned node] in node.health }),
            log)
    }

    init(_ sources: Sources, _ log: Logger) {
        self.sources = sources
        self.log = log
    }

    /// How each sentence begins that tells why nobody is answered.
    static let complaint = "metrics and health are not told: "

    /// Why nobody is answered, as a sentence; nothing where all is as it was asked for.
    var note: String? { state.withLock { $0.trouble } }

    /// Where they are told, or `none`; nothing where nobody is answered though somebody should be.
    var place: String? {
        state.withLock { state in
            guard let settings = state.settings, state.trouble == nil else { return nil }
            return settings.listen?.description ?? "none"
        }
    }

    /// Listens where the settings say. Called by one thread.
    ///
    /// - Returns: when to try again; nil where nothing is left to do.
    func follow(_ settings: AdminSettings) -> Instant? {
        let now = ContinuousClock.now
        let (isSame, retry, before) = state.withLock { ($0.settings == settings, $0.retry, $0.trouble) }
        if isSame {
            guard let retry, retry <= now else { return retry }
        }
        // The old address may be the new one. Not under the lock: an answer that is under way takes it.
        end()
        var trouble: String?
        var server: AdminServer?
        do throws(Refusal) {
            server = try open(settings)
            if before != nil, server != nil { log.notice("metrics and health are told again") }
        } catch {
            trouble = Self.complaint + error.because
            if before != trouble { log.warning("\(trouble ?? ""); next: \(error.remedy ?? "forwarder doctor")") }
        }
        let next = trouble == nil ? nil : now + Self.interval
        state.withLock { $0 = State(settings: settings, server: server, trouble: trouble, retry: next) }
        return next
    }

    /// Has the token read anew, which may be another by now.
    func rereadToken() {
        state.withLock { if $0.settings?.tokenFile != nil { $0.settings = nil } }
    }

    func end() { state.withLock { $0.server.take() }?.end() }

    private func open(_ settings: AdminSettings) throws(Refusal) -> AdminServer? {
        guard let listen = settings.listen else { return nil }
        let token = try settings.tokenFile.map { path throws(Refusal) in try Self.token(path) }
        var limits = AdminServer.Limits()
        // As many as may be open beside what the node needs itself.
        limits.connections = min(limits.connections, Self.ownConnections + spareDescriptors)
        do throws(AdminServer.Unbindable) {
            return try AdminServer(
                at: listen.address, port: Int(listen.port), token: token, limits: limits,
                refused: { [log] who in
                    log.warning("a login to the admin endpoint was refused", metadata: [Journal.refusedPeer: "\(who)"])
                },
                answer: { [unowned self] in answer($0) })
        } catch {
            throw Refusal(adminListen: listen, errno: Errno(rawValue: error.errno))
        }
    }

    private var spareDescriptors: Int { Int(clamping: OwnedDescriptor.limit) - Int(RunningNode.descriptors) }

    /// Why a node could tell nobody, as far as one can say without listening, and what the kernel said of it, where it said
    /// something; nil where nothing speaks against it.
    static func obstacle(_ settings: AdminSettings) -> (refusal: Refusal, error: KernelError?)? {
        guard let listen = settings.listen else { return nil }
        if let path = settings.tokenFile {
            do throws(AdminToken.Unfit) { _ = try AdminToken(file: path) } catch {
                let refusal = Refusal(adminToken: path, error)
                guard case .unreadable(let kernel) = error else { return (refusal, nil) }
                return (refusal, kernel)
            }
        }
        do throws(KernelError) { try ListeningTrial.take("\(listen.address)", port: listen.port) } catch {
            return (Refusal(adminListen: listen, errno: error.errno), error)
        }
        return nil
    }

    private static func token(_ path: String) throws(Refusal) -> AdminToken {
        do throws(AdminToken.Unfit) {
            return try AdminToken(file: path)
        } catch {
            throw Refusal(adminToken: path, error)
        }
    }

    // MARK: Answers

    private func answer(_ request: AdminServer.Request) -> AdminServer.Response {
        switch request.path {
        case "/metrics":
            let format = ExpositionFormat(accept: request.accept)
            return .init(status: 200, contentType: format.contentType, body: freshScrape.text(format))
        case "/healthz":
            return Self.answer(health(within: Self.freshness), isWell: \.alive)
        case "/readyz":
            return Self.answer(health(within: Self.freshness), isWell: \.ready)
        default:
            return .init(
                status: 404, contentType: "text/plain; charset=utf-8",
                body: Array("not here: ask for /metrics, /healthz or /readyz\n".utf8))
        }
    }

    private static func answer(
        _ health: HealthReport, isWell: KeyPath<HealthReport, Bool>
    ) -> AdminServer.Response {
        let json = (try? health.json()).map { Array($0) } ?? []
        return .init(
            status: health[keyPath: isWell] ? 200 : 503, contentType: "application/json", body: json + [10])
    }

    private var freshScrape: Scrape {
        if let last = scrapes.withLock({ $0 }), ContinuousClock.now - last.at < Self.freshness { return last.scrape }
        var scrape = sources.scrape(state.withLock { $0.server?.counts } ?? .init())
        scrape.health = health(within: Self.freshnessOfChecks)
        scrapes.withLock { $0 = (.now, scrape) }
        return scrape
    }

    private func health(within freshness: Duration) -> HealthReport {
        if let last = healths.withLock({ $0 }), ContinuousClock.now - last.at < freshness { return last.health }
        let health = sources.health()
        healths.withLock { $0 = (.now, health) }
        return health
    }
}

extension Refusal {
    fileprivate init(adminListen listen: Endpoint, errno: Errno) {
        let remedy =
            switch errno {
            case .addressInUse:
                "name another port: --admin-listen \(Endpoint(listen.address, listen.port == 10_586 ? 10_587 : 10_586))"
            case .addressNotAvailable: "name an address of this host's, or bring its interface up"
            case .permissionDenied: "name a port from 1024 on"
            default: "name another address: --admin-listen 127.0.0.1:10586"
            }
        self.init(
            couldNot: "tell metrics and health", because: "\(listen) cannot be listened on: \(errno)", remedy: remedy,
            exitCode: .unavailable)
    }

    fileprivate init(adminToken path: String, _ unfit: AdminToken.Unfit) {
        let another = "name a file that holds a token: --admin-token-file"
        let anew = "(umask 077; openssl rand -hex 32 > \(path))"
        let (because, remedy) =
            switch unfit {
            case .missing: ("\(path) is not there", "make it: \(anew)")
            case .unreadable(let error) where [.permissionDenied, .notPermitted].contains(error.errno):
                ("\(error)", "let forwarder's user read it: chown root \(path)")
            case .unreadable(let error): ("\(error)", another)
            case .notPlain: ("\(path) is no plain file", another)
            case .open: ("\(path) may be read or written by others than its owner", "chmod 600 \(path)")
            case .length(let count):
                (
                    "the first line of \(path) has \(count) characters where a token has "
                        + "\(AdminToken.lengths.lowerBound) to \(AdminToken.lengths.upperBound)",
                    "write a better one: \(anew)"
                )
            case .unprintable: ("\(path) holds what no HTTP field can carry", "write a better one: \(anew)")
            }
        self.init(couldNot: "tell metrics and health", because: because, remedy: remedy, exitCode: .unavailable)
    }
}
