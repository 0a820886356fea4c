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

    /// Where a flow was found, and the hash of its inside name: the slot may belong to another by now.
    package struct Place: Equatable, BitwiseCopyable, Sendable {
        package let slot: Int
        package let insideHash: UInt64

        package init(slot: Int, insideHash: UInt64) {
            self.slot = slot
            self.insideHash = insideHash
        }
    }

    struct Entry: BitwiseCopyable {
        var key: Key
        var place: Place
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

    package mutating func record(_ key: Key, at place: Place, now: UInt32) {
        let set = set(of: key)
        var chosen = set.lowerBound
        for candidate in set {
            if entries[candidate].key == key {
                chosen = candidate
                break
            }
            if entries[candidate].recorded < entries[chosen].recorded { chosen = candidate }
        }
        entries[chosen] = Entry(key: key, place: place, recorded: now)
    }

    /// The flow that the first fragment belonged to.
    package func find(_ key: Key, now: UInt32) -> Place? {
        for candidate in set(of: key)
        where entries[candidate].recorded != 0 && entries[candidate].key == key
            && now &- entries[candidate].recorded <= Self.lifetime
        {
            return entries[candidate].place
        }
        return nil
    }

    private func set(of key: Key) -> Range<Int> {
        let first = Int(truncatingIfNeeded: key.hash(seed) & UInt64(Self.sets - 1)) * Self.ways
        return first..<first + Self.ways
    }
}
