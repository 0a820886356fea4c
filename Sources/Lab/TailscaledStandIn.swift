internal import Glibc
internal import LinuxSystem
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// Stands in for tailscaled on a host of the lab: answers on its Unix socket as the LocalAPI does, or as it never should.
/// It ends with its last reference.
package final class TailscaledStandIn: Sendable {
    package enum Manner: Sendable {
        /// Preferences with these in `AdvertiseRoutes`.
        case advertising([String])
        /// Status 200 with this body.
        case saying(String)
        case refusing
        /// Takes the question and is silent.
        case hanging
        case hangingUp
    }

    /// Where clients look for it by default.
    package static let socket = "/var/run/tailscale/tailscaled.sock"

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let script: Script

    /// - Parameters:
    ///   - relayMap: the answer to who asks for the relays; before the first login there is none.
    ///   - status: to who asks how it stands, and with it the tailnet's machines, as long as it advertises.
    package init(
        on host: LabHost, _ manner: Manner, relayMap: String = "null", status: String = "{}"
    ) throws(LabFailure) {
        script = Script(manner, relayMap, status)
        let bound = try toward("serve \(Self.socket) on \(host.name)") { () throws(KernelError) in
            try host.namespace.run { () throws(KernelError) in
                try makeDirectory("/var/run/tailscale")
                _ = unsafe unlink(Self.socket)
                let socket = try UnixSocket.nonBlocking()
                try UnixSocket.bind(socket, to: Self.socket)
                return socket.surrender()
            }
        }
        do {
            _ = try ServerBootstrap(group: group)
                .childChannelInitializer { [script] channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                        try channel.pipeline.syncOperations.addHandler(Conversation(script))
                    }
                }
                .withBoundSocket(bound).wait()
        } catch {
            throw LabFailure(couldNot: "serve \(Self.socket) on \(host.name)", because: "\(error)")
        }
    }

    deinit { try? group.syncShutdownGracefully() }

    /// From the next question on.
    package func behave(_ manner: Manner) { script.manner.withLock { $0 = manner } }

    /// Questions so far.
    package var asked: Int { script.asked.withLock { $0 } }

    /// Of which so many were how it stands.
    package var askedForStatus: Int { script.askedForStatus.withLock { $0 } }

    fileprivate final class Script: Sendable {
        let manner: Mutex<Manner>
        let relayMap: String
        let status: String
        let asked = Mutex(0)
        let askedForStatus = Mutex(0)

        init(_ manner: Manner, _ relayMap: String, _ status: String) {
            self.manner = Mutex(manner)
            self.relayMap = relayMap
            self.status = status
        }
    }
}

private final class Conversation: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let preferences = "/localapi/v0/prefs"
    private static let relays = "/localapi/v0/derpmap"
    private static let status = "/localapi/v0/status"

    private let script: TailscaledStandIn.Script
    private var isGood = false
    private var path = ""

    init(_ script: TailscaledStandIn.Script) { self.script = script }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            path = head.uri
            isGood =
                head.method == .GET && [Self.preferences, Self.relays, Self.status].contains(path)
                && head.headers["Host"] == ["local-tailscaled.sock"]
        case .body: break
        case .end:
            script.asked.withLock { $0 += 1 }
            if path == Self.status { script.askedForStatus.withLock { $0 += 1 } }
            answer(context)
        }
    }

    private func answer(_ context: ChannelHandlerContext) {
        guard isGood else { return send(.forbidden, "invalid localapi request", context) }
        if path == Self.relays { return send(.ok, script.relayMap, context) }
        switch script.manner.withLock({ $0 }) {
        case .advertising where path == Self.status: send(.ok, script.status, context)
        case .advertising(let routes):
            let list = routes.map { "\"\($0)\"" }.joined(separator: ",")
            send(
                .ok,
                #"{"ControlURL":"https://control.example","RouteAll":true,"Hostname":"","AdvertiseRoutes":[\#(list)]}"#,
                context)
        case .saying(let text): send(.ok, text, context)
        case .refusing: send(.internalServerError, "no", context)
        case .hanging: break
        case .hangingUp: context.close(promise: nil)
        }
    }

    private func send(_ status: HTTPResponseStatus, _ text: String, _ context: ChannelHandlerContext) {
        let head = HTTPResponseHead(
            version: .http1_1, status: status, headers: ["Content-Type": "application/json", "Connection": "close"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
