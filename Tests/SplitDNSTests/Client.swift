import CLinux
import Glibc
import LinuxSystem
import NIOCore

/// Asks as a process of the node would: one socket, blocking, patient for ten seconds.
struct Client: ~Copyable {
    enum Kind { case datagram, stream }

    private let socket: OwnedDescriptor
    private let isStream: Bool

    init(_ kind: Kind, port: Int) throws {
        isStream = kind == .stream
        let type = isStream ? SOCK_STREAM : SOCK_DGRAM
        socket = OwnedDescriptor(
            try check(
                "connect", "127.0.0.1",
                unsafe clinux_socket_connect(CInt(type.rawValue), "127.0.0.1", UInt16(port), 10_000)))
    }

    func send(_ message: ByteBuffer) throws {
        let length = isStream ? [UInt8(message.readableBytes >> 8), UInt8(message.readableBytes & 0xff)] : []
        try sendOctets(length + Array(message.readableBytesView))
    }

    func sendOctets(_ octets: [UInt8]) throws { _ = try UnixSocket.send(socket, octets[...]) }

    func receive() throws -> ByteBuffer {
        guard isStream else { return ByteBuffer(bytes: try UnixSocket.receive(socket, atMost: 65_535)) }
        let head = try receiveExactly(2)
        return ByteBuffer(bytes: try receiveExactly(Int(head[0]) << 8 | Int(head[1])))
    }

    /// The end of the stream, for a client that waits for nothing else.
    func isClosed() throws -> Bool { try UnixSocket.receive(socket, atMost: 1).isEmpty }

    struct Ended: Error {}

    private func receiveExactly(_ count: Int) throws -> [UInt8] {
        var octets: [UInt8] = []
        while octets.count < count {
            let more = try UnixSocket.receive(socket, atMost: count - octets.count)
            guard !more.isEmpty else { throw Ended() }
            octets += more
        }
        return octets
    }

    func ask(_ message: ByteBuffer) throws -> ByteBuffer {
        try send(message)
        return try receive()
    }
}
