internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import SystemPackage

/// A socket, closed with its last reference. It belongs to the host it was opened on, whoever uses it.
///
/// A blocking call gives up after ten seconds without progress, unless told otherwise.
final class Socket: Sendable {
    enum Kind: Sendable {
        case stream, datagram

        fileprivate var type: CInt { CInt((self == .stream ? SOCK_STREAM : SOCK_DGRAM).rawValue) }
    }

    static let patience = Duration.seconds(10)

    let descriptor: OwnedDescriptor

    init(_ number: CInt) { descriptor = OwnedDescriptor(number) }

    func send(_ bytes: ArraySlice<UInt8>) throws(KernelError) {
        var rest = bytes
        repeat {
            let sent = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor.raw, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard sent >= 0 else { throw KernelError("send", Errno(rawValue: errno), "socket") }
            rest = rest.dropFirst(sent)
        } while !rest.isEmpty
    }

    /// Fills the buffer's beginning; 0 is the end of a stream.
    func receive(into buffer: inout [UInt8]) throws(KernelError) -> Int {
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(descriptor.raw, $0.baseAddress, $0.count, 0) }
        guard count >= 0 else { throw KernelError("recv", Errno(rawValue: errno), "socket") }
        return count
    }

    /// Says that nothing more will be sent.
    func finish() { _ = shutdown(descriptor.raw, CInt(SHUT_WR)) }

    /// The next connection, and its peer as text.
    func accept() throws(KernelError) -> (connection: Socket, peer: String) {
        var peer = [CChar](repeating: 0, count: Int(clinux_endpoint_text))
        let number = try check("accept", "listener", unsafe clinux_socket_accept(descriptor.raw, &peer))
        return (Socket(number), String(decoding: peer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }

    /// From now on a call that would wait is refused with EAGAIN.
    func neverWait() { _ = fcntl(descriptor.raw, F_SETFL, fcntl(descriptor.raw, F_GETFL) | O_NONBLOCK) }

    /// To be called inside the host.
    static func connect(
        _ kind: Kind, to address: String, port: UInt16, waiting: Bool, patience: Duration = patience
    ) throws(KernelError) -> Socket {
        let type = waiting ? kind.type : kind.type | CInt(SOCK_NONBLOCK.rawValue)
        let limit = milliseconds(patience)
        return Socket(try check("connect", address, unsafe clinux_socket_connect(type, address, port, limit)))
    }

    /// Bound to the address, and listening if it is a stream. To be called inside the host.
    static func bind(
        _ kind: Kind, at address: String, port: UInt16, patience: Duration = patience
    ) throws(KernelError) -> Socket {
        // A child that somebody else starts has the last listener open, for the moment before it is another program.
        var number = unsafe clinux_socket_bind(kind.type, address, port)
        for _ in 0..<100 where number == -EADDRINUSE {
            usleep(10_000)
            number = unsafe clinux_socket_bind(kind.type, address, port)
        }
        let socket = Socket(try check("bind", "\(address) \(port)", number))
        try check("SO_RCVTIMEO", address, clinux_socket_limit(socket.descriptor.raw, milliseconds(patience)))
        return socket
    }

    private static func milliseconds(_ time: Duration) -> CInt { CInt(time / .milliseconds(1)) }

    /// Two ends of one stream inside this process.
    static func pair() throws(KernelError) -> (Socket, Socket) {
        var ends: [CInt] = [0, 0]
        let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw KernelError("socketpair", Errno(rawValue: errno), "stream")
        }
        return (Socket(ends[0]), Socket(ends[1]))
    }
}

extension LabHost {
    func connect(
        _ kind: Socket.Kind, to address: String, port: UInt16, patience: Duration = Socket.patience
    ) throws(LabFailure) -> Socket {
        try toward("connect from \(name) to \(address) port \(port)") { () throws(KernelError) in
            try namespace.run { () throws(KernelError) in
                try Socket.connect(kind, to: address, port: port, waiting: true, patience: patience)
            }
        }
    }

    func bind(
        _ kind: Socket.Kind, at address: String, port: UInt16, patience: Duration = Socket.patience
    ) throws(LabFailure) -> Socket {
        try toward("serve \(address) port \(port) on \(name)") { () throws(KernelError) in
            try namespace.run { () throws(KernelError) in
                try Socket.bind(kind, at: address, port: port, patience: patience)
            }
        }
    }
}

/// Each flow costs a descriptor on both sides of the same process: as many as the kernel lets this process have.
func raiseDescriptorLimit() {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
