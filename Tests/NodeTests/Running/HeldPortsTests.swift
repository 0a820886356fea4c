import Glibc
import Testing

@testable import Node

/// Which ports the host's own sockets hold, from the kernel's tables.
struct HeldPortsTests {
    private static let tcp = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20911 1 0000000000000000 100 0 0 10 0
           1: 0200A8C0:4E20 0A7100CB:01BB 01 00000000:00000000 00:00000000 00000000     0        0 20912 1 0000000000000000 20 4 30 10 -1

        """
    private static let tcp6 = """
          sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20913 1 0000000000000000 100 0 0 10 0
           1: 0000000000000000FFFF00000100007F:FFFF 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 20914 1 0000000000000000 20 4 30 10 -1

        """

    @Test func `the local port of every line is held, listening or connected, of either family`() {
        #expect(HeldPorts.ports(inTable: Self.tcp) == [8080, 20_000])
        #expect(HeldPorts.ports(inTable: Self.tcp6) == [22, 65_535])
    }

    @Test(arguments: ["", "\n", "  sl  local_address rem_address\n", "header\n  0:\n  1: garbage\n  2: 0100007F:XYZ\n"])
    func `a table without sockets holds nothing`(text: String) {
        #expect(HeldPorts.ports(inTable: text) == [])
    }

    @Test(arguments: [SOCK_STREAM, SOCK_DGRAM], [AF_INET, AF_INET6])
    func `a port that a socket of this process has is among those held now`(type: __socket_type, family: CInt) throws {
        let descriptor = socket(family, CInt(type.rawValue), 0)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let port = try #require(boundPort(descriptor, family))
        if type == SOCK_STREAM { #expect(listen(descriptor, 1) == 0) }
        let held = HeldPorts.now()
        #expect((type == SOCK_STREAM ? held.tcp : held.udp).contains(port))
    }

    /// Binds to a port of the kernel's choice.
    private func boundPort(_ descriptor: CInt, _ family: CInt) -> UInt16? {
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(family)
        var length = socklen_t(family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
        let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
            }
        }
        // The port stands in the same place in either family.
        return isBound ? UInt16(bigEndian: address.sin6_port) : nil
    }
}
