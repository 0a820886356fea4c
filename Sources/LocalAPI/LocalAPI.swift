package import NIOCore
import NIOHTTP1
import NIOPosix
import SystemPackage

/// What tailscaled tells of itself over its Unix socket (`ipn/localapi` in Tailscale's sources). Whoever may open the
/// socket may ask what is asked here; nothing is changed by it.
package struct LocalAPI: Sendable {
    /// The path of tailscaled's socket.
    let socket: String
    let loop: any EventLoop

    package init(socket: String, loop: any EventLoop) {
        self.socket = socket
        self.loop = loop
    }

    /// How long tailscaled may take over an answer, where nobody is in more of a hurry.
    private static let patience = TimeAmount.seconds(2)

    /// The body of an answer with status 200; fails with `LocalAPIFailure`.
    ///
    /// - Parameter limit: octets that are taken of a body; a longer one is a failure.
    func get(
        _ path: String, atMost limit: Int, within patience: TimeAmount = Self.patience
    ) -> EventLoopFuture<ByteBuffer> {
        let answer = loop.makePromise(of: ByteBuffer.self)
        let connection = ClientBootstrap(group: loop)
            .connectTimeout(patience)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOHTTPClientResponseAggregator(maxContentLength: limit), Exchange(path, answer))
                }
            }
            .connect(unixDomainSocketPath: socket)
        connection.whenFailure { answer.fail($0) }
        let alarm = loop.scheduleTask(in: patience) { answer.fail(LocalAPIFailure("nothing was said in time")) }
        let outcome = answer.futureResult
        outcome.whenComplete { _ in
            alarm.cancel()
            connection.whenSuccess { $0.close(promise: nil) }
        }
        return outcome.flatMapErrorThrowing { throw LocalAPIFailure(of: $0) }
    }
}

/// One question and its answer; then the connection has served.
private final class Exchange: ChannelInboundHandler {
    typealias InboundIn = NIOHTTPClientResponseFull
    typealias OutboundOut = HTTPClientRequestPart

    private let path: String
    private let answer: EventLoopPromise<ByteBuffer>

    init(_ path: String, _ answer: EventLoopPromise<ByteBuffer>) {
        self.path = path
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        // tailscaled refuses other hosts, so that no web page can have a browser ask.
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: path,
            headers: ["Host": "local-tailscaled.sock", "Connection": "close"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let response = unwrapInboundIn(data)
        if response.head.status == .ok {
            answer.succeed(response.body ?? ByteBuffer())
        } else {
            answer.fail(LocalAPIFailure("the answer has status \(response.head.status.code)"))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { answer.fail(error) }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(LocalAPIFailure("the connection was closed without an answer"))
    }
}

/// Why tailscaled's answer could not be had, in words that follow a colon.
package struct LocalAPIFailure: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }

    fileprivate init(of error: any Error) {
        switch error {
        case let failure as LocalAPIFailure: self = failure
        case let error as IOError: self.init("\(Errno(rawValue: error.errnoCode))")
        case is HTTPParserError: self.init("the answer is no HTTP")
        case is NIOHTTPObjectAggregatorError: self.init("the answer is too long")
        default: self.init("\(error)")
        }
    }
}
