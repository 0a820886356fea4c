import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Where clients are received: how many there may be and who gives way, how many requests a second, who is let in.
final class Desk: Sendable {
    let limits: AdminServer.Limits
    private let token: AdminToken?
    private let refused: @Sendable (String) -> Void
    private let answer: @Sendable (AdminServer.Request) -> AdminServer.Response
    private let thinking: NIOThreadPool
    private let state: Mutex<State>

    private struct State {
        var counts = AdminServer.Counts()
        /// Connections, each with the moment since which it owes us a request; none while it is answered.
        var seats: [ObjectIdentifier: Seat] = [:]
        /// Of who is let in, and of who is not: these do not use up what those may ask.
        var admitted, strangers: Allowance
    }

    /// Requests that may be made now.
    private struct Allowance {
        let perSecond: Double
        var left: Double
        var at = NIODeadline.now()

        init(perSecond: Int) { (self.perSecond, left) = (Double(perSecond), Double(perSecond)) }

        mutating func take() -> Bool {
            let now = NIODeadline.now()
            left = min(perSecond, left + Double((now - at).nanoseconds) / 1e9 * perSecond)
            at = now
            guard left >= 1 else { return false }
            left -= 1
            return true
        }
    }

    private struct Seat {
        let channel: any Channel
        var since: NIODeadline?
    }

    init(
        _ limits: AdminServer.Limits, _ token: AdminToken?, refused: @escaping @Sendable (String) -> Void,
        answer: @escaping @Sendable (AdminServer.Request) -> AdminServer.Response, thinking: NIOThreadPool
    ) {
        self.limits = limits
        self.token = token
        self.refused = refused
        self.answer = answer
        self.thinking = thinking
        let allowance = Allowance(perSecond: limits.requestsPerSecond)
        state = Mutex(State(admitted: allowance, strangers: allowance))
    }

    var counts: AdminServer.Counts { state.withLock { $0.counts } }

    // MARK: Seats

    /// Gives a new connection its place, where need be that of the one that has dawdled longest.
    func seat(_ channel: any Channel) -> EventLoopFuture<Void> {
        let (isSeated, leaving) = state.withLock { state -> (Bool, (any Channel)?) in
            var leaving: (any Channel)?
            if state.seats.count >= limits.connections {
                let waiting = state.seats.compactMap { seat in seat.value.since.map { (seat.key, $0) } }
                guard let longest = waiting.min(by: { $0.1 < $1.1 }) else {
                    state.counts.rejected += 1
                    return (false, nil)
                }
                leaving = state.seats.removeValue(forKey: longest.0)?.channel
                state.counts.rejected += 1
            }
            state.seats[ObjectIdentifier(channel)] = Seat(channel: channel, since: .now())
            return (true, leaving)
        }
        leaving?.close(promise: nil)
        guard isSeated else { return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported) }
        channel.closeFuture.whenComplete { [self] _ in
            _ = state.withLock { $0.seats.removeValue(forKey: ObjectIdentifier(channel)) }
        }
        return channel.eventLoop.makeCompletedFuture { [self] in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(Patience(self))
            try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false, withErrorHandling: true)
            try pipeline.addHandler(Clerk(self))
        }
    }

    /// - Parameter since: when it began to owe us a request; nil while it is answered.
    func note(_ channel: any Channel, owingSince since: NIODeadline?) {
        state.withLock { $0.seats[ObjectIdentifier(channel)]?.since = since }
    }

    // MARK: Requests

    func countRejected() { state.withLock { $0.counts.rejected += 1 } }

    /// Judges a request and has it answered; on the event loop of the connection.
    func receive(_ head: HTTPRequestHead, _ channel: any Channel) -> EventLoopFuture<AdminServer.Response> {
        let loop = channel.eventLoop
        let target = Target(head)
        // Against DNS rebinding; no page can have a browser bring the token.
        let isMisdirected = token == nil && target?.isAddressOrLocalhost == false
        let isAdmitted = token?.admits(authorization: head.headers.first(name: "Authorization")) ?? true
        guard isAllowed(isAdmitted && !isMisdirected) else {
            return loop.makeSucceededFuture(.plain(429, "too many requests: ask less often\n"))
        }
        guard isAdmitted else {
            state.withLock { $0.counts.unauthorized += 1 }
            refused(channel.remoteAddress?.ipAddress ?? "an unknown address")
            return loop.makeSucceededFuture(.plain(401, "bring the token: Authorization: Bearer TOKEN\n"))
        }
        guard head.method == .GET || head.method == .HEAD else {
            countRejected()
            return loop.makeSucceededFuture(.plain(405, "only GET and HEAD are answered\n"))
        }
        guard let target else {
            countRejected()
            return loop.makeSucceededFuture(.plain(400, "a request has one Host field\n"))
        }
        guard !isMisdirected else {
            countRejected()
            return loop.makeSucceededFuture(.plain(421, "without a token, ask by address or as localhost\n"))
        }
        let request = AdminServer.Request(path: target.path, accept: head.headers["Accept"])
        return thinking.runIfActive(eventLoop: loop) { [answer] in answer(request) }.map { [self] response in
            state.withLock { $0.counts.answered += 1 }
            return response
        }
    }

    private func isAllowed(_ isAdmitted: Bool) -> Bool {
        state.withLock { state in
            let isAllowed = isAdmitted ? state.admitted.take() : state.strangers.take()
            if !isAllowed { state.counts.rejected += 1 }
            return isAllowed
        }
    }
}

extension AdminServer.Response {
    static func plain(_ status: Int, _ sentence: String) -> Self {
        Self(status: status, contentType: "text/plain; charset=utf-8", body: Array(sentence.utf8))
    }
}
