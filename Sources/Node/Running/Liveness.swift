/// Whether what goes into the VPN's tunnel is answered, judged by counts alone: nobody is asked, and nothing is sent.
///
/// A tunnel that nobody uses is silent, and WireGuard renews its keys only when somebody sends. Silence therefore means
/// nothing; sending into silence does. The rule:
///
/// * A *look* compares counts with those of the look before, a quarter of `vpn_stale` earlier, a second at least.
/// * Clients' packets went in and nothing at all came out: the tunnel is *unanswered*, from this look on.
/// * Anything came out (a packet by the interface, or octets that WireGuard could decrypt, its keepalives and handshakes
///   among them): it is answered, and `up`.
/// * Nobody sent in three looks one after the other, or no look was taken for so long: what was unanswered is forgotten.
///   A client that tries a dead host every ten minutes proves nothing. A tunnel that is stale stays so until it answers.
/// * Unanswered for `vpn_stale`: `stale`. Unanswered for one look, and the last handshake is older than `vpn_stale` and
///   than the 180 s for which WireGuard accepts its keys: `stale` at once, for then no packet can have come back.
///
/// A WireGuard that lives answers each packet within ten seconds, by a keepalive if by nothing else (its
/// KEEPALIVE_TIMEOUT). Where its counts can be read, no client's choice of whom to talk to makes it stale, unless
/// `vpn_stale` is shorter than some fifteen seconds. Where they cannot, clients that for all of `vpn_stale` send only to
/// hosts that never answer make a sound tunnel stale: until the first answer to anybody.
struct Liveness: Sendable {
    typealias Instant = ContinuousClock.Instant

    enum State: Equatable, Sendable {
        case up
        case stale(Reason)
        /// Nothing can be sent: why, for a person.
        case down(because: String)
    }

    enum Reason: Equatable, Sendable {
        case nothingCameBack
        case handshakeIsOld
    }

    enum Handshake: Equatable, Sendable {
        /// Nobody tells.
        case unknown
        case never
        case ago(Duration)
    }

    /// What was counted at one moment. Counts rise; one that falls has begun anew.
    struct Counts: Equatable, Sendable {
        /// Clients' packets that went in.
        var sent: UInt64
        /// Packets that came out.
        var received: UInt64
        /// Octets that WireGuard could decrypt, where it tells.
        var decrypted: UInt64?
        var handshake = Handshake.unknown
    }

    private(set) var state = State.up
    private var before: (counts: Counts, at: Instant)?
    private var beginning: Instant?
    /// The first and the last look that saw sending into silence.
    private var unanswered: (first: Instant, last: Instant)?

    /// How far looks are apart.
    static func interval(_ stale: Duration) -> Duration { max(stale / 4, .seconds(1)) }

    /// REJECT_AFTER_TIME in WireGuard's paper, section 6.1: nothing is accepted under older keys.
    private static let keysLast = Duration.seconds(180)

    /// The interface is not there, or not in order.
    mutating func lose(because: String) { self = Liveness(state: .down(because: because)) }

    /// It is there, and may be another than before.
    mutating func begin() { self = Liveness() }

    mutating func look(_ counts: Counts, at now: Instant, stale: Duration) {
        if case .down = state { return }
        defer { before = (counts, now) }
        guard let (earlier, then) = before else {
            beginning = now
            return
        }
        let pause = Self.interval(stale) * 3
        if let last = unanswered?.last, now - last > pause { unanswered = nil }
        if counts.hasHeard(since: earlier) {
            unanswered = nil
            state = .up
        } else if counts.sent > earlier.sent, now - then <= pause {
            unanswered = (unanswered?.first ?? now, now)
        }
        guard state == .up, let unanswered else { return }
        let time = unanswered.last - unanswered.first
        if time >= stale {
            state = .stale(.nothingCameBack)
        } else if time >= Self.interval(stale), age(counts.handshake, now) > max(stale, Self.keysLast) {
            state = .stale(.handshakeIsOld)
        }
    }

    private func age(_ handshake: Handshake, _ now: Instant) -> Duration {
        switch handshake {
        case .unknown: .zero
        // It has had this long for its first.
        case .never: beginning.map { now - $0 } ?? .zero
        case .ago(let age): age
        }
    }
}

extension Liveness {
    private init(state: State) { self.state = state }
}

extension Liveness.Counts {
    fileprivate func hasHeard(since earlier: Self) -> Bool {
        if received > earlier.received { return true }
        guard let decrypted, let then = earlier.decrypted else { return false }
        return decrypted > then
    }
}
