import NIOCore
import NIOPosix
package import PacketParse

/// The HTTP endpoint for whoever watches the node: GET and HEAD, HTTP/1.1, nothing else. On threads of its own: one for the
/// connections, one that thinks about answers.
///
/// It takes no more than it can hold: connections, octets of a request, time and requests a second are limited, and where
/// connections are scarce, the one that has dawdled longest gives way.
package final class AdminServer: Sendable {
    package struct Limits: Sendable {
        /// Open at a time.
        package var connections = 128
        /// Octets of a request: its line and its fields. It may have no body.
        package var requestOctets = 8_192
        /// Seconds from the first octet of a request, or from the connection's beginning, to its end.
        package var requestSeconds = 5
        /// Seconds between two requests of a connection.
        package var idleSeconds = 120
        /// Answered in a second, all clients together, after a burst of as many.
        package var requestsPerSecond = 100

        package init() {}
    }

    /// Why nobody can listen there.
    package struct Unbindable: Error {
        package let errno: CInt
    }

    package struct Request: Sendable {
        package let path: String
        /// The values of its `Accept` fields.
        package let accept: [String]
    }

    package struct Response: Sendable {
        package let status: Int
        package let contentType: String
        package let body: [UInt8]

        package init(status: Int, contentType: String, body: [UInt8]) {
            self.status = status
            self.contentType = contentType
            self.body = body
        }
    }

    /// How requests ended since the beginning. Of those that no limit let through, only that there were such.
    package struct Counts: Sendable, Equatable {
        package var answered: UInt64 = 0
        package var unauthorized: UInt64 = 0
        /// Too slow, too long, too many, or no HTTP.
        package var rejected: UInt64 = 0

        package init() {}
    }

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let thinking = NIOThreadPool(numberOfThreads: 1)
    /// The port it listens on.
    package let port: Int
    private let desk: Desk

    /// Listens from here on.
    ///
    /// - Parameters:
    ///   - port: 0 for one that the kernel chooses.
    ///   - token: what a request must bring as `Authorization: Bearer`; nil where everybody may ask.
    ///   - refused: told of a request without it, with the address of who asked; not on the caller's thread.
    ///   - answer: called for one request after another on a thread that may wait.
    package init(
        at address: IPAddress, port: Int, token: AdminToken?, limits: Limits = Limits(),
        refused: @escaping @Sendable (String) -> Void = { _ in },
        answer: @escaping @Sendable (Request) -> Response
    ) throws(Unbindable) {
        thinking.start()
        let desk = Desk(limits, token, refused: refused, answer: answer, thinking: thinking)
        self.desk = desk
        do {
            let listener = try Self.bind(group, desk, to: try SocketAddress(ipAddress: "\(address)", port: port))
            self.port = listener.localAddress?.port ?? port
        } catch {
            try? thinking.syncShutdownGracefully()
            try? group.syncShutdownGracefully()
            throw Unbindable(errno: (error as? IOError)?.errnoCode ?? 22)
        }
    }

    private static func bind(
        _ group: MultiThreadedEventLoopGroup, _ desk: Desk, to address: SocketAddress
    ) throws -> any Channel {
        try ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 64)
            // Who has asked may say that he asks no more, and is answered.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // No client makes us read ahead of what it is answered.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 2_048))
            .childChannelInitializer { channel in desk.seat(channel) }
            .bind(to: address).wait()
    }

    package var counts: Counts { desk.counts }

    /// Answers nobody any more.
    package func end() {
        // In this order: an answer that is under way still finds its connection's loop.
        try? thinking.syncShutdownGracefully()
        try? group.syncShutdownGracefully()
    }
}
