import NIOCore
import NIOPosix
import Synchronization

/// Tries again where the port that the kernel chose for UDP is somebody's for TCP.
func onFreePort<Value>(_ make: () throws -> Value) throws -> Value {
    for _ in 0..<9 { if let made = try? make() { return made } }
    return try make()
}

/// A resolver on loopback that answers as it is told, by UDP and TCP on one port, and remembers what it was asked.
final class FakeResolver: Sendable {
    enum Manner: Sendable {
        /// The query itself as an answer, with the address of the side behind it.
        case answering
        /// A truncated answer by UDP, a long one by TCP.
        case truncating
        /// Messages that a guesser would send, and then the answer.
        case amongForgeries
        case silent
        /// Silent towards the first, then answering.
        case silentOnce
    }

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let manner: Mutex<Manner>
    private let queries = Mutex<[(query: [UInt8], port: Int)]>([])
    let octet: UInt8
    let port: Int

    /// - Parameter octet: by which its answers are told from another's.
    init(_ manner: Manner, octet: UInt8) throws {
        self.manner = Mutex(manner)
        self.octet = octet
        let box = Box()
        port = try onFreePort { [group] in
            let datagrams = try DatagramBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Datagrams(box))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).wait()
            let port = datagrams.localAddress?.port ?? 0
            _ = try ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Streams(box))
                    }
                }
                .bind(host: "127.0.0.1", port: port).wait()
            return port
        }
        box.resolver.withLock { $0 = self }
    }

    /// A cycle that `end` breaks.
    func end() { try? group.syncShutdownGracefully() }

    func behave(_ manner: Manner) { self.manner.withLock { $0 = manner } }

    /// What it was asked, and from which ports.
    var asked: [(query: [UInt8], port: Int)] { queries.withLock { $0 } }

    fileprivate func answers(_ query: ByteBuffer, from port: Int, isStream: Bool) -> [ByteBuffer] {
        queries.withLock { $0.append((Array(query.readableBytesView), port)) }
        func answer(_ change: (inout ByteBuffer) -> Void = { _ in }) -> ByteBuffer {
            var answer = query
            let flags = query.getInteger(at: 2, as: UInt8.self) ?? 0
            answer.setInteger(flags | 0x80, at: 2)
            answer.writeInteger(octet)
            change(&answer)
            return answer
        }
        let id: UInt16 = query.getInteger(at: 0) ?? 0
        switch manner.withLock({ $0 }) {
        case .answering: return [answer()]
        case .truncating:
            guard isStream else { return [answer { $0.setInteger(UInt8(0x83), at: 2) }] }
            return [answer { $0.writeRepeatingByte(octet, count: 30_000) }]
        case .amongForgeries:
            var messages: [ByteBuffer] = []
            for guess in UInt16(1)..<50 {
                messages.append(
                    answer {
                        $0.setInteger(id &+ guess, at: 0)
                        $0.writeInteger(UInt8(0xEE))
                    })
            }
            messages.append(
                answer {
                    $0.setInteger(UInt8(ascii: "x"), at: 13)
                    $0.writeInteger(UInt8(0xEE))
                })
            return messages + [answer()]
        case .silent: return []
        case .silentOnce:
            manner.withLock { $0 = .answering }
            return []
        }
    }

    fileprivate final class Box: Sendable {
        let resolver = Mutex<FakeResolver?>(nil)
    }

    private final class Datagrams: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        private let box: Box
        init(_ box: Box) { self.box = box }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let query = unwrapInboundIn(data)
            let resolver = box.resolver.withLock { $0 }
            for answer in resolver?.answers(query.data, from: query.remoteAddress.port ?? 0, isStream: false) ?? [] {
                context.write(wrapOutboundOut(.init(remoteAddress: query.remoteAddress, data: answer)), promise: nil)
            }
            context.flush()
        }
    }

    private final class Streams: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let box: Box
        private var received = ByteBuffer()
        init(_ box: Box) { self.box = box }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received.writeImmutableBuffer(unwrapInboundIn(data))
            let port = context.remoteAddress?.port ?? 0
            while let query = received.readLengthPrefixedSlice(as: UInt16.self) {
                let resolver = box.resolver.withLock { $0 }
                for answer in resolver?.answers(query.slice(), from: port, isStream: true) ?? [] {
                    var framed = ByteBuffer(integer: UInt16(answer.readableBytes))
                    framed.writeImmutableBuffer(answer)
                    context.write(wrapOutboundOut(framed), promise: nil)
                }
            }
            context.flush()
        }
    }
}
