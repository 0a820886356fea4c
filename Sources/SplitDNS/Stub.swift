import Glibc
import LinuxNetwork
import LocalAPI
import NIOCore
import NIOPosix
package import PacketParse
import Synchronization

/// A stub resolver that reads the name of a question, picks the side it belongs to, and relays question and answer
/// unchanged but for the number. On a thread of its own; it ends with `end`.
///
/// A side that is out of reach is answered for at once with a failure. Nothing is ever asked of the other side instead.
package final class Stub: Sendable {
    /// Where the address and port cannot be had.
    package struct Unbindable: Error {
        package let errno: CInt
    }

    /// Queries on their way at a time.
    package static let outstandingLimit = 512
    /// Clients connected at a time.
    package static let connectionLimit = 64
    /// How long a connected client may take over its next query.
    static let idleLimit = TimeAmount.seconds(10)
    /// A query that is not answered is asked again, of the same side.
    private static let tries = 2
    private static let interval = (known: TimeAmount.seconds(60), unknown: TimeAmount.seconds(5))

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let limit: Int
    private let state: Mutex<State>

    private struct State {
        let direct: Resolver
        var vpn: Resolver?
        /// The interfaces by which each is reached; nil while one is not there.
        var ways: (direct: Int32?, vpn: Int32?)
        var names: DirectNames
        var counts = Counts()
        var outstanding = 0
        var connections = 0
        var tailscaledSocket: String?
    }

    /// Listens from here on.
    ///
    /// - Parameters:
    ///   - vpn: none where nobody is known there: then what belongs there fails.
    ///   - limit: of queries on their way.
    package init(
        at address: IPAddress, port: Int, direct: Resolver, vpn: Resolver?, names: DirectNames,
        limit: Int = outstandingLimit
    ) throws(Unbindable) {
        self.limit = limit
        state = Mutex(State(direct: direct, vpn: vpn, ways: (direct.interface, vpn?.interface), names: names))
        do {
            let listen = try SocketAddress(ipAddress: "\(address)", port: port)
            let datagrams = try bindDatagrams(listen)
            // The kernel's choice, where it was left the port, is both transports'.
            try bindStreams(datagrams.localAddress ?? listen)
            bound.withLock { $0 = datagrams.localAddress }
        } catch {
            try? group.syncShutdownGracefully()
            throw Unbindable(errno: (error as? IOError)?.errnoCode ?? EINVAL)
        }
    }

    private let bound = Mutex<SocketAddress?>(nil)

    /// The port it listens on.
    package var port: Int { bound.withLock { $0?.port ?? 0 } }

    private func bindDatagrams(_ address: SocketAddress) throws -> any Channel {
        try DatagramBootstrap(group: group)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Exchange.datagram))
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramService(self))
                }
            }
            .bind(to: address).wait()
    }

    private func bindStreams(_ address: SocketAddress) throws {
        _ = try ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // The next query is not read before this one is answered: a client costs one message each way.
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { [self] channel in
                guard admitConnection() else { return channel.eventLoop.makeFailedFuture(Exchange.NoWay()) }
                channel.closeFuture.whenComplete { _ in self.state.withLock { $0.connections -= 1 } }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        ByteToMessageHandler(MessageDecoder(limit: MessageDecoder.longestQuery)), MessageEncoder(),
                        StreamService(self))
                }
            }
            .bind(to: address).wait()
    }

    /// Answers nobody any more.
    package func end() { try? group.syncShutdownGracefully() }

    package var counts: Counts { state.withLock { $0.counts } }

    // MARK: Sides

    /// From the next try on, each side is reached by these interfaces, or not at all.
    package func reach(directBy uplink: Int32?, vpnBy vpn: Int32?) {
        state.withLock { $0.ways = (uplink, vpn) }
    }

    /// Another resolver stands on the VPN's side from the next try on.
    package func ask(vpn resolver: Resolver) { state.withLock { $0.vpn = resolver } }

    private func resolver(_ side: Side) -> Resolver? {
        state.withLock { state in
            var resolver = side == .direct ? state.direct : state.vpn
            resolver?.interface = side == .direct ? state.ways.direct : state.ways.vpn
            return resolver
        }
    }

    private func side(of question: Question) -> Side {
        state.withLock { $0.names.contains(question.name) ? .direct : .vpn }
    }

    // MARK: Hosts that tailscaled tells

    /// Learns the hosts of the control plane from tailscaled, now and again.
    package func follow(tailscaledAt socket: String) {
        let isFirst = state.withLock { state in
            defer { state.tailscaledSocket = socket }
            return state.tailscaledSocket == nil
        }
        if isFirst { group.next().execute { self.askTailscaled() } }
    }

    private func askTailscaled() {
        guard let socket = state.withLock({ $0.tailscaledSocket }) else { return }
        let loop = group.next()
        LocalAPI(socket: socket, loop: loop).controlHosts().whenComplete { [self] outcome in
            // A tailscaled that is gone has changed nothing.
            let isKnown = state.withLock { state in
                if case .success(let hosts) = outcome {
                    state.names.loginServer = hosts.loginServer.flatMap { DomainName($0) }
                    if let relays = hosts.relays { state.names.relays = Set(relays.compactMap { DomainName($0) }) }
                }
                return !state.names.relays.isEmpty
            }
            loop.scheduleTask(in: isKnown ? Self.interval.known : Self.interval.unknown) { self.askTailscaled() }
        }
    }

    // MARK: Queries

    /// Has a query answered, by its side or by us; nil where silence is the answer.
    func answer(
        _ query: ByteBuffer, over transport: Exchange.Transport, on loop: any EventLoop
    ) -> EventLoopFuture<ByteBuffer?> {
        let question: Question
        do throws(Question.Flaw) {
            guard query.readableBytes <= MessageDecoder.longestQuery else { throw .formatError }
            question = try Question(of: query)
        } catch {
            state.withLock { $0.counts.malformed += 1 }
            let answer = error == .unanswerable ? nil : query.refusal(nil, code: error.rawValue)
            return loop.makeSucceededFuture(answer)
        }
        let failure = query.refusal(question, code: ResponseCode.serverFailure)
        guard admitQuery() else { return loop.makeSucceededFuture(failure) }
        let side = side(of: question)
        state.withLock { $0.counts[side].relayed += 1 }
        let answered = ask(query, question, side, transport, tries: Self.tries, on: loop)
        answered.whenComplete { outcome in
            self.state.withLock { state in
                state.outstanding -= 1
                switch outcome {
                case .success: state.counts[side].answered += 1
                case .failure(let error) where error is Exchange.Silence: state.counts[side].timedOut += 1
                case .failure: state.counts[side].unreachable += 1
                }
            }
        }
        return answered.map { $0 }.flatMapErrorThrowing { _ in failure }
    }

    private func ask(
        _ query: ByteBuffer, _ question: Question, _ side: Side, _ transport: Exchange.Transport, tries: Int,
        on loop: any EventLoop
    ) -> EventLoopFuture<ByteBuffer> {
        guard let resolver = resolver(side) else { return loop.makeFailedFuture(Exchange.NoWay()) }
        return Exchange(
            query: query, question: question, resolver: resolver, transport: transport,
            onMismatch: { self.state.withLock { $0.counts[side].mismatched += 1 } }
        )
        .run(on: loop)
        .flatMapError { error in
            guard error is Exchange.Silence, tries > 1 else { return loop.makeFailedFuture(error) }
            return self.ask(query, question, side, transport, tries: tries - 1, on: loop)
        }
    }

    private func admitQuery() -> Bool {
        state.withLock { state in
            guard state.outstanding < limit else {
                state.counts.refused += 1
                return false
            }
            state.outstanding += 1
            return true
        }
    }

    private func admitConnection() -> Bool {
        state.withLock { state in
            guard state.connections < Self.connectionLimit else {
                state.counts.refused += 1
                return false
            }
            state.connections += 1
            return true
        }
    }
}
