import Glibc
import LinuxNetwork
import NIOCore
import NIOPosix

/// One try to have a question answered by a resolver: a socket, a port and a number of its own.
struct Exchange: Sendable {
    enum Transport: Sendable { case datagram, stream }

    let query: ByteBuffer
    let question: Question
    let resolver: Resolver
    let transport: Transport
    /// Told of each message that answers something else.
    let onMismatch: @Sendable () -> Void

    /// How long the resolver may take.
    static let patience = TimeAmount.seconds(2)
    /// Longer than any datagram: what is cut off here would be relayed cut off.
    static let datagram = 65_535

    /// It was sent, as far as anybody can tell, and nothing came back.
    struct Silence: Error {}
    /// The side has no way.
    struct NoWay: Error {}

    /// - Returns: the answer, with the number of the query; fails at once when the resolver is out of reach.
    func run(on loop: any EventLoop) -> EventLoopFuture<ByteBuffer> {
        guard let interface = resolver.interface else { return loop.makeFailedFuture(NoWay()) }
        let answer = loop.makePromise(of: ByteBuffer.self)
        let opened = open(on: loop, interface, answer)
        opened.whenFailure { answer.fail($0) }
        let alarm = loop.scheduleTask(in: Self.patience) { answer.fail(Silence()) }
        answer.futureResult.whenComplete { _ in
            alarm.cancel()
            opened.whenSuccess { $0.close(promise: nil) }
        }
        return answer.futureResult
    }

    /// The interface and the mark before the connection, which chooses the route and the source address.
    private func open(
        on loop: any EventLoop, _ interface: Int32, _ answer: EventLoopPromise<ByteBuffer>
    ) -> EventLoopFuture<any Channel> {
        let toInterface = ChannelOptions.Types.SocketOption(level: .socket, name: .init(rawValue: SO_BINDTOIFINDEX))
        let marking = ChannelOptions.Types.SocketOption(level: .socket, name: .init(rawValue: SO_MARK))
        let mark = Int(resolver.mark)
        let endpoint: SocketAddress
        do {
            endpoint = try SocketAddress(ipAddress: "\(resolver.address)", port: resolver.port)
        } catch {
            return loop.makeFailedFuture(error)
        }
        switch transport {
        case .datagram:
            let bootstrap = DatagramBootstrap(group: loop)
                .channelOption(toInterface, value: Int(interface))
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.datagram))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers(DatagramPayload(), Asker(self, answer))
                    }
                }
            return (mark == 0 ? bootstrap : bootstrap.channelOption(marking, value: mark)).connect(to: endpoint)
        case .stream:
            let bootstrap = ClientBootstrap(group: loop)
                .connectTimeout(Self.patience)
                .channelOption(toInterface, value: Int(interface))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers(
                            ByteToMessageHandler(MessageDecoder()), MessageEncoder(), Asker(self, answer))
                    }
                }
            return (mark == 0 ? bootstrap : bootstrap.channelOption(marking, value: mark)).connect(to: endpoint)
        }
    }
}

/// Asks when the socket is connected, and takes the first message that answers.
private final class Asker: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let exchange: Exchange
    private let answer: EventLoopPromise<ByteBuffer>
    private let id = UInt16.random(in: .min ... .max)

    init(_ exchange: Exchange, _ answer: EventLoopPromise<ByteBuffer>) {
        self.exchange = exchange
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        var query = exchange.query
        query.id = id
        let sent = context.writeAndFlush(wrapOutboundOut(query))
        sent.whenFailure { [answer] in answer.fail($0) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var message = unwrapInboundIn(data)
        guard exchange.question.isAnswered(by: message, id: id) else { return exchange.onMismatch() }
        message.id = exchange.query.id
        answer.succeed(message)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { answer.fail(error) }

    func channelInactive(context: ChannelHandlerContext) { answer.fail(Exchange.NoWay()) }
}

/// Takes the address off a connected socket's datagrams, which is always the same.
private final class DatagramPayload: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias InboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(wrapInboundOut(unwrapInboundIn(data).data))
    }
}
