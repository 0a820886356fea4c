import NIOCore

// Where queries come in, one file for both transports.

/// Answers each datagram to where it came from.
final class DatagramService: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let stub: Stub

    init(_ stub: Stub) { self.stub = stub }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let query = unwrapInboundIn(data)
        let channel = context.channel
        stub.answer(query.data, over: .datagram, on: context.eventLoop).whenSuccess { answer in
            guard let answer else { return }
            channel.writeAndFlush(
                AddressedEnvelope(remoteAddress: query.remoteAddress, data: answer), promise: nil)
        }
    }

    /// A client that is gone is no reason to stop.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// Answers one connected client, one query after the other.
final class StreamService: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let stub: Stub
    /// Read already, to be answered later: what came together in one segment.
    private var waiting = CircularBuffer<ByteBuffer>()
    private var isBusy = false
    private var alarm: Scheduled<Void>?

    init(_ stub: Stub) { self.stub = stub }

    func channelActive(context: ChannelHandlerContext) { awaitQuery(context) }

    func channelInactive(context: ChannelHandlerContext) { alarm?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        waiting.append(unwrapInboundIn(data))
        answerNext(context)
    }

    /// What came was not yet a whole query.
    func channelReadComplete(context: ChannelHandlerContext) { if !isBusy { context.read() } }

    /// However few octets it sends, a client has to send a whole query in time.
    private func awaitQuery(_ context: ChannelHandlerContext) {
        let channel = context.channel
        alarm = context.eventLoop.scheduleTask(in: Stub.idleLimit) { channel.close(promise: nil) }
        context.read()
    }

    private func answerNext(_ context: ChannelHandlerContext) {
        guard !isBusy, let query = waiting.popFirst() else { return }
        isBusy = true
        alarm?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        stub.answer(query, over: .stream, on: context.eventLoop).whenSuccess { answer in
            let (service, context) = bound.value
            guard context.channel.isActive else { return }
            guard let answer else { return context.close(promise: nil) }
            context.writeAndFlush(service.wrapOutboundOut(answer)).whenComplete { _ in
                let (service, context) = bound.value
                service.isBusy = false
                if service.waiting.isEmpty { service.awaitQuery(context) } else { service.answerNext(context) }
            }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
