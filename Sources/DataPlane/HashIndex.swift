package import LinuxSystem

/// Finds a slot by the hash of its key: open addressing with linear probing, removal by shifting back.
///
/// A bucket is eight octets: the low half of the hash and the slot. The bucket of a hash is a part of that half, so shifting
/// back after a removal never needs to look at the keys, and a miss is decided without touching an entry. The index holds
/// twice as many buckets as slots, so that probes stay within a cache line or two.
package struct HashIndex: ~Copyable, Sendable {
    private var buckets: Slab<UInt64>
    private let mask: Int

    /// An index for at most `slots` slots.
    package init(slots: Int) throws(KernelError) {
        var size = 16
        while size < slots * 2 { size *= 2 }
        buckets = try Slab(count: size)
        mask = size - 1
    }

    private static let empty: UInt64 = 0

    @inline(always) private static func bucket(_ hash: UInt64, _ slot: Int) -> UInt64 {
        UInt64(UInt32(truncatingIfNeeded: slot &+ 1)) << 32 | UInt64(UInt32(truncatingIfNeeded: hash))
    }

    @inline(always) private func home(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash & 0xFFFF_FFFF) & mask }

    @inline(always) package func prefetch(_ hash: UInt64) { buckets.prefetch(home(hash)) }

    /// The first slot whose hash agrees; whether its key does is for the caller to see.
    @inline(always) package func candidate(_ hash: UInt64) -> Int? {
        find(hash) { _ in true }
    }

    /// The slot whose hash agrees and whose key, by `matches`, does too.
    @inline(always) package func find(_ hash: UInt64, where matches: (Int) -> Bool) -> Int? {
        var position = home(hash)
        while true {
            let bucket = buckets[position]
            if bucket == Self.empty { return nil }
            if UInt32(truncatingIfNeeded: bucket) == UInt32(truncatingIfNeeded: hash) {
                let slot = Int(bucket >> 32) &- 1
                if matches(slot) { return slot }
            }
            position = (position &+ 1) & mask
        }
    }

    package mutating func insert(_ hash: UInt64, _ slot: Int) {
        var position = home(hash)
        while buckets[position] != Self.empty { position = (position &+ 1) & mask }
        buckets[position] = Self.bucket(hash, slot)
    }

    /// Takes a slot out. One that is not there is left alone.
    package mutating func remove(_ hash: UInt64, _ slot: Int) {
        let wanted = Self.bucket(hash, slot)
        var hole = home(hash)
        while buckets[hole] != wanted {
            if buckets[hole] == Self.empty { return }
            hole = (hole &+ 1) & mask
        }
        var position = (hole &+ 1) & mask
        while buckets[position] != Self.empty {
            // A bucket may move into the hole unless its home lies behind the hole.
            let distance = (position &- home(buckets[position])) & mask
            if distance >= (position &- hole) & mask {
                buckets[hole] = buckets[position]
                hole = position
            }
            position = (position &+ 1) & mask
        }
        buckets[hole] = Self.empty
    }
}
