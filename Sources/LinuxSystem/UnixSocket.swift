// Or a release build of some products knows no SOCK_STREAM: the module that holds it is whichever was built first.
internal import CLinux
internal import Glibc
internal import SystemPackage

/// The system calls of a Unix socket, of streams mostly, and all that is unsafe about them.
package enum UnixSocket {
    /// A socket on which no call blocks: the server's kind.
    package static func nonBlocking() throws(KernelError) -> OwnedDescriptor { try open(CInt(SOCK_NONBLOCK.rawValue)) }

    /// A socket on which calls block: the client's kind. Every call gives up after so many seconds, with EAGAIN.
    package static func patient(seconds: Int = 5) throws(KernelError) -> OwnedDescriptor {
        let socket = try open(0)
        try limit(socket, to: .seconds(seconds))
        return socket
    }

    /// A socket that sends datagrams to whom each is for, and gives up after a second, with EAGAIN.
    package static func datagram() throws(KernelError) -> OwnedDescriptor {
        let socket = try open(0, CInt(SOCK_DGRAM.rawValue))
        try limit(socket, to: .seconds(1))
        return socket
    }

    /// Has every call on it give up after so long, with EAGAIN.
    package static func limit(_ socket: borrowing OwnedDescriptor, to time: Duration) throws(KernelError) {
        let (seconds, attoseconds) = time.components
        // Nothing would be no limit.
        let microseconds = max(Int(attoseconds / 1_000_000_000_000), seconds > 0 ? 0 : 1)
        var patience = timeval(tv_sec: Int(seconds), tv_usec: microseconds)
        for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
            let answer = unsafe setsockopt(
                socket.raw, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
            guard answer == 0 else { throw failure("setsockopt", "Unix socket") }
        }
    }

    private static func open(
        _ flags: CInt, _ type: CInt = CInt(SOCK_STREAM.rawValue)
    ) throws(KernelError) -> OwnedDescriptor {
        let raw = Glibc.socket(AF_UNIX, type | CInt(SOCK_CLOEXEC.rawValue) | flags, 0)
        guard raw >= 0 else { throw failure("socket", "AF_UNIX") }
        return OwnedDescriptor(raw)
    }

    package static func bind(_ socket: borrowing OwnedDescriptor, to path: String) throws(KernelError) {
        let number = socket.raw
        guard unsafe withAddress(of: path, { unsafe Glibc.bind(number, $0, $1) }) == 0 else {
            throw failure("bind", path)
        }
    }

    /// Takes a name that no file has: it is the network namespace's, and free again once the socket is closed. EADDRINUSE
    /// while somebody has it (unix(7), "abstract").
    package static func bind(_ socket: borrowing OwnedDescriptor, toAbstract name: String) throws(KernelError) {
        let number = socket.raw
        guard unsafe withAddress(of: "\0" + name, { unsafe Glibc.bind(number, $0, $1) }) == 0 else {
            throw failure("bind", "@\(name)")
        }
    }

    package static func connect(_ socket: borrowing OwnedDescriptor, to path: String) throws(KernelError) {
        let number = socket.raw
        guard unsafe withAddress(of: path, { unsafe Glibc.connect(number, $0, $1) }) == 0 else {
            throw failure("connect", path)
        }
    }

    /// None if nobody is there, or is there no longer.
    package static func accept(_ listener: borrowing OwnedDescriptor) -> OwnedDescriptor? {
        let raw = Glibc.accept(listener.raw, nil, nil)
        guard raw >= 0 else { return nil }
        let socket = OwnedDescriptor(raw)
        guard fcntl(raw, F_SETFD, FD_CLOEXEC) == 0, fcntl(raw, F_SETFL, O_NONBLOCK) == 0 else { return nil }
        return socket
    }

    /// What has arrived, at most `limit` octets. Empty at the end.
    package static func receive(_ socket: borrowing OwnedDescriptor, atMost limit: Int) throws(KernelError) -> [UInt8] {
        let number = socket.raw
        var count = 0
        let octets = unsafe [UInt8](unsafeUninitializedCapacity: limit) { space, filled in
            count = unsafe Glibc.recv(number, space.baseAddress, limit, 0)
            filled = max(count, 0)
        }
        guard count >= 0 else { throw failure("recv", "Unix socket") }
        return octets
    }

    /// How many octets were taken. A peer that is gone is an error here, not a signal.
    package static func send(_ socket: borrowing OwnedDescriptor, _ octets: ArraySlice<UInt8>) throws(KernelError)
        -> Int
    {
        let number = socket.raw
        let count = unsafe octets.withUnsafeBytes {
            unsafe Glibc.send(number, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
        }
        guard count >= 0 else { throw failure("send", "Unix socket") }
        return count
    }

    /// One datagram, to whom has that path; to one in the network namespace where it begins with a NUL.
    package static func send(
        _ socket: borrowing OwnedDescriptor, _ octets: [UInt8], to path: String
    ) throws(KernelError) {
        let number = socket.raw
        let count = unsafe withAddress(of: path) { address, length in
            unsafe octets.withUnsafeBytes {
                CInt(unsafe Glibc.sendto(number, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL), address, length))
            }
        }
        guard count >= 0 else { throw failure("sendto", path) }
    }

    /// Waits until one of the descriptors is ready, or the time is over (-1: never). Answers what each is ready for.
    package static func wait(_ descriptors: [(raw: CInt, events: CInt)], milliseconds: CInt) -> [CInt] {
        var set = descriptors.map { pollfd(fd: $0.raw, events: CShort($0.events), revents: 0) }
        guard unsafe Glibc.poll(&set, nfds_t(set.count), milliseconds) > 0 else {
            return [CInt](repeating: 0, count: set.count)
        }
        return set.map { CInt($0.revents) }
    }

    package static func failure(_ call: StaticString, _ subject: String) -> KernelError {
        KernelError(call, Errno(rawValue: Glibc.errno), subject)
    }

    private static func withAddress(
        of path: String, _ call: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let octets = Array(path.utf8)
        guard octets.count < MemoryLayout.size(ofValue: address.sun_path) else {
            Glibc.errno = ENAMETOOLONG
            return -1
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: octets) }
        // An abstract name ends with the address, not with a zero.
        let length = octets.first == 0 ? octets.count : MemoryLayout.size(ofValue: address.sun_path)
        return unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe call($0, socklen_t(MemoryLayout<sa_family_t>.size + length))
            }
        }
    }
}
