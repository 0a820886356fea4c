import NIOCore

/// Counts a connection's octets and time: a request that is too long is refused, a client that is too slow is left.
///
/// First in the pipeline: what it holds back nobody has to parse.
final class Patience: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    /// The last octet of an answer has been taken.
    struct Answered: Sendable {}

    private let desk: Desk
    /// Of the request that is under way.
    private var octets = 0
    private var isLeft = false
    private var alarm: Scheduled<Void>?

    init(_ desk: Desk) { self.desk = desk }

    func channelActive(context: ChannelHandlerContext) {
        wait(context, seconds: desk.limits.requestSeconds)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isLeft else { return }
        if octets == 0 { wait(context, seconds: desk.limits.requestSeconds) }
        octets += unwrapInboundIn(data).readableBytes
        guard octets <= desk.limits.requestOctets else {
            desk.countRejected()
            isLeft = true
            return leave(context, with: "431 Request Header Fields Too Large")
        }
        context.fireChannelRead(data)
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is Answered else { return context.triggerUserOutboundEvent(event, promise: promise) }
        octets = 0
        wait(context, seconds: desk.limits.idleSeconds)
        promise?.succeed()
    }

    func channelInactive(context: ChannelHandlerContext) {
        alarm?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// From now on it owes us something, a request or that it takes its answer, by a deadline.
    private func wait(_ context: ChannelHandlerContext, seconds: Int) {
        alarm?.cancel()
        desk.note(context.channel, owingSince: .now())
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        alarm = context.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) {
            let (patience, context) = bound.value
            if patience.octets > 0, !patience.isLeft { patience.desk.countRejected() }
            context.close(promise: nil)
        }
    }

    private func leave(_ context: ChannelHandlerContext, with status: String) {
        let answer = context.channel.allocator.buffer(
            string: "HTTP/1.1 \(status)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(answer))).whenComplete { _ in
            bound.value.close(promise: nil)
        }
    }
}
