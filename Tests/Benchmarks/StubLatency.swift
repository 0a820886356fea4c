import CLinux
import Glibc
import LinuxSystem
import PacketParse
import SplitDNS

/// What the stub adds to a question: the same one to a resolver on loopback, straight and through the stub, in turns.
func measureStub() throws {
    let home = IPAddress(v4: 0x7f00_0001)
    let resolver = try LoopbackResolver()
    let stub = try Stub(
        at: home, port: 0, direct: Resolver(home, port: Int(resolver.port), interface: 1),
        vpn: Resolver(home, port: Int(resolver.port), interface: 1), names: DirectNames(below: []))
    defer { stub.end() }
    var (straight, relayed): ([Double], [Double]) = ([], [])
    let near = try Asker(resolver.port)
    let far = try Asker(UInt16(stub.port))
    for round in 0..<10_100 {
        let figures = (try near.ask(), try far.ask())
        // The first hundred are for the caches.
        guard round >= 100 else { continue }
        straight.append(figures.0)
        relayed.append(figures.1)
    }
    for (name, figures) in [
        ("straight", straight), ("through the stub", relayed), ("difference", zip(relayed, straight).map { $0 - $1 }),
    ] {
        let sorted = figures.sorted()
        let told = [0.5, 0.05, 0.95, 0.99].map { tenths(sorted[Int(Double(sorted.count) * $0)]) }
        print("a question, \(name): median \(told[0]) us; 5 % \(told[1]), 95 % \(told[2]), 99 % \(told[3])")
    }
}

/// One socket that asks for www.example.org.
private struct Asker: ~Copyable {
    private static let question: [UInt8] =
        [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + [3] + Array("www".utf8) + [7] + Array("example".utf8) + [3]
        + Array("org".utf8) + [0, 0, 1, 0, 1]

    private let socket: OwnedDescriptor

    init(_ port: UInt16) throws {
        let type = CInt(SOCK_DGRAM.rawValue)
        socket = OwnedDescriptor(
            try check("connect", "127.0.0.1", unsafe clinux_socket_connect(type, "127.0.0.1", port, 10_000)))
    }

    /// Microseconds until the answer.
    func ask() throws -> Double {
        let begin = MonotonicClock().nanoseconds
        _ = try UnixSocket.send(socket, Self.question[...])
        let answer = try UnixSocket.receive(socket, atMost: 512)
        let passed = MonotonicClock().nanoseconds - begin
        precondition(answer.count == Self.question.count && answer[2] & 0x80 != 0, "no answer")
        return Double(passed) / 1000
    }
}

/// Answers each question with itself, until the process ends.
private struct LoopbackResolver {
    let port: UInt16

    init() throws {
        let socket = Glibc.socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(socket, pointer, length) == 0 && getsockname(socket, pointer, &length) == 0
            }
        }
        precondition(bound, "no port on loopback")
        port = UInt16(bigEndian: address.sin_port)
        let thread = try Thread(named: "resolver") {
            var octets = [UInt8](repeating: 0, count: 512)
            var from = sockaddr_storage()
            while true {
                unsafe withUnsafeMutablePointer(to: &from) { pointer in
                    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
                        let count = unsafe recvfrom(socket, &octets, octets.count, 0, pointer, &length)
                        octets[2] |= 0x80
                        if count > 0 { _ = unsafe sendto(socket, octets, count, 0, pointer, length) }
                    }
                }
            }
        }
        _ = consume thread
    }
}
