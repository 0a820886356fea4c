package import LinuxSystem
package import PacketParse

/// Remembers which flow the fragments of a datagram belong to, since only the first carries the ports.
///
/// Bounded: four places a set, the oldest gives way. An entry lasts as long as a receiver would wait for the rest (RFC 8200
/// section 4.5: 60 s; the kernel's own default for IPv4: 30 s).
package struct FragmentTable: ~Copyable, Sendable {
    /// What the fragments of one datagram have in common (RFC 791 section 3.2, RFC 8200 section 4.5).
    package struct Key: Equatable, BitwiseCopyable, Sendable {
        let source: IPAddress
        let destination: IPAddress
        let identifier: UInt32
        /// Zero for IPv6, whose later fragments may name another protocol than the first.
        let protocolNumber: UInt8

        @inline(always) package init(_ summary: PacketSummary) {
            source = summary.source
            destination = summary.destination
            identifier = summary.fragmentIdentifier
            protocolNumber = summary.isV4 ? summary.protocolNumber : 0
        }

        func hash(_ seed: HashSeed) -> UInt64 {
            FlowKey(
                local: source, remote: destination, localPort: UInt16(truncatingIfNeeded: identifier),
                remotePort: UInt16(truncatingIfNeeded: identifier >> 16), transport: .other
            ).hash(seed: seed)
        }
    }

    struct Entry: BitwiseCopyable {
        var key: Key
        var slot: UInt32
        /// Zero for an empty place.
        var recorded: UInt32
    }

    private static let lifetime: UInt32 = 30
    private static let ways = 4
    private static let sets = 128

    private var entries: Slab<Entry>
    private let seed: HashSeed

    package init(seed: HashSeed) throws(KernelError) {
        entries = try Slab(count: Self.sets * Self.ways)
        self.seed = seed
    }

    package mutating func record(_ key: Key, slot: Int, now: UInt32) {
        let places = places(of: key)
        var place = places.lowerBound
        for candidate in places {
            if entries[candidate].key == key {
                place = candidate
                break
            }
            if entries[candidate].recorded < entries[place].recorded { place = candidate }
        }
        entries[place] = Entry(key: key, slot: UInt32(truncatingIfNeeded: slot), recorded: now)
    }

    /// The slot that the first fragment belonged to. Whether the same flow still lives in it is for the caller to see.
    package func find(_ key: Key, now: UInt32) -> Int? {
        for place in places(of: key)
        where entries[place].recorded != 0 && entries[place].key == key
            && now &- entries[place].recorded <= Self.lifetime {
            return Int(entries[place].slot)
        }
        return nil
    }

    private func places(of key: Key) -> Range<Int> {
        let first = Int(truncatingIfNeeded: key.hash(seed) & UInt64(Self.sets - 1)) * Self.ways
        return first..<first + Self.ways
    }
}
