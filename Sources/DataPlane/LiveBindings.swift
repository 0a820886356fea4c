package import PacketParse

/// What the outside may answer to, in memory that the kernel's steering program reads: a bit per TCP and UDP port, and a
/// fingerprint per ICMP query.
///
/// The loop writes whole words with plain stores and the program reads them. The memory belongs to whoever made it (the
/// program's map; in tests, any allocation) and must outlive this value. A fingerprint takes one of eight slots from its
/// home on; `bpf/` looks it up in the same way.
@safe package struct LiveBindings: ~Copyable, @unchecked Sendable {
    package static let portWords = 65536 / 64
    package static let queryProbes = 8

    private let tcpPorts: UnsafeMutablePointer<UInt64>
    private let udpPorts: UnsafeMutablePointer<UInt64>
    private let queries: UnsafeMutablePointer<UInt64>
    private let queryMask: Int

    /// - Parameters:
    ///   - tcpPorts, udpPorts: `portWords` words each.
    ///   - queries: `queryCount` words, a power of two.
    package init(
        tcpPorts: UnsafeMutablePointer<UInt64>, udpPorts: UnsafeMutablePointer<UInt64>,
        queries: UnsafeMutablePointer<UInt64>, queryCount: Int
    ) {
        precondition(queryCount >= Self.queryProbes && queryCount & (queryCount - 1) == 0)
        unsafe self.tcpPorts = tcpPorts
        unsafe self.udpPorts = udpPorts
        unsafe self.queries = queries
        queryMask = queryCount - 1
    }

    package func open(_ transport: Transport, port: UInt16) {
        let word = unsafe (transport == .tcp ? tcpPorts : udpPorts) + Int(port >> 6)
        unsafe word.pointee |= 1 << UInt64(port & 63)
    }

    package func close(_ transport: Transport, port: UInt16) {
        let word = unsafe (transport == .tcp ? tcpPorts : udpPorts) + Int(port >> 6)
        unsafe word.pointee &= ~(1 << UInt64(port & 63))
    }

    /// Lets answers to a query in; false when the slots it could take are taken.
    package func open(query identifier: UInt16, to remote: IPAddress) -> Bool {
        let mark = Self.fingerprint(remote, identifier)
        for probe in 0..<Self.queryProbes {
            let slot = (Int(truncatingIfNeeded: mark) &+ probe) & queryMask
            if unsafe queries[slot] == 0 {
                unsafe queries[slot] = mark
                return true
            }
        }
        return false
    }

    package func close(query identifier: UInt16, to remote: IPAddress) {
        let mark = Self.fingerprint(remote, identifier)
        for probe in 0..<Self.queryProbes {
            let slot = (Int(truncatingIfNeeded: mark) &+ probe) & queryMask
            if unsafe queries[slot] == mark {
                unsafe queries[slot] = 0
                return
            }
        }
    }

    /// A query's sixty-four bits, never zero; the same arithmetic stands in `bpf/`.
    package static func fingerprint(_ remote: IPAddress, _ identifier: UInt16) -> UInt64 {
        var x = UInt64(truncatingIfNeeded: remote.bits >> 64) &* 0x9E37_79B9_7F4A_7C15
        x ^= x >> 32
        x = (x &+ UInt64(truncatingIfNeeded: remote.bits)) &* 0xD6E8_FEB8_6659_FD93
        x ^= x >> 32
        x = (x &+ UInt64(identifier)) &* 0xD6E8_FEB8_6659_FD93
        x ^= x >> 32
        return x == 0 ? 1 : x
    }
}
