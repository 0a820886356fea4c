import NIOCore
import NIOHTTP1

/// Answers the requests of one connection, one after the other.
final class Clerk: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let desk: Desk
    private var head: HTTPRequestHead?
    private var isAnswering = false
    /// Whether no more will be asked.
    private var isLast = false

    init(_ desk: Desk) { self.desk = desk }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            // Nobody honest asks again before he is answered; whoever does not read what he asked for would fill our memory.
            guard !isAnswering else {
                desk.countRejected()
                return context.close(promise: nil)
            }
            self.head = head
        // Nobody who only asks has anything to send; what little fits the limit is passed over.
        case .body: break
        case .end:
            guard let head = head.take() else { return }
            answer(head, context)
        }
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        isAnswering = true
        desk.note(context.channel, owingSince: nil)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        desk.receive(head, context.channel).whenComplete { outcome in
            let (clerk, context) = bound.value
            guard context.channel.isActive else { return }
            switch outcome {
            case .success(let response): clerk.write(response, to: head, context)
            case .failure: context.close(promise: nil)
            }
        }
    }

    private func write(_ response: AdminServer.Response, to request: HTTPRequestHead, _ context: ChannelHandlerContext)
    {
        // Who is refused may come again, by another connection.
        let stays = request.isKeepAlive && response.status < 400 && !isLast
        var headers: HTTPHeaders = [
            "Content-Type": response.contentType, "Content-Length": "\(response.body.count)",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        ]
        if !stays { headers.add(name: "Connection", value: "close") }
        if response.status == 401 { headers.add(name: "WWW-Authenticate", value: "Bearer") }
        if response.status == 405 { headers.add(name: "Allow", value: "GET, HEAD") }
        if response.status == 429 { headers.add(name: "Retry-After", value: "1") }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD {
            let body = context.channel.allocator.buffer(bytes: response.body)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            let (clerk, context) = bound.value
            guard stays, !clerk.isLast else { return context.close(promise: nil) }
            clerk.isAnswering = false
            context.triggerUserOutboundEvent(Patience.Answered(), promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed? = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        isLast = true
        if !isAnswering { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        desk.countRejected()
        context.close(promise: nil)
    }
}
