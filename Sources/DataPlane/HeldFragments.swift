package import LinuxSystem
import PacketParse

/// Later fragments that came before their first one, kept until it has passed: only the first says whose they are.
///
/// Bounded: 64 fragments of at most 2 KiB, for two seconds (RFC 6146 section 3.4, FRAGMENT_MIN); when all places are taken
/// the oldest gives way. One source has at most a quarter of them, and beyond that gives way to itself: a flood from one
/// client costs no other. Some are never claimed: the VPN's interface shows us the host's own early fragments too.
package struct HeldFragments: ~Copyable {
    struct Place: BitwiseCopyable {
        var key: FragmentTable.Key
        /// The second in which it came, zero for an empty place.
        var since: UInt32
        /// Octets, the virtio header's included.
        var length: Int32
        var side: Side
    }

    /// Octets of the longest packet that is held.
    static let longest = 2048
    /// Places that one source may have.
    static let share = 16
    private static let stride = 2112
    private static let lifetime: UInt32 = 2

    private var places: Slab<Place>
    private var memory: Slab<UInt8>
    package private(set) var count = 0

    package init() throws(KernelError) {
        let places = try Slab<Place>(count: 64)
        let memory = try Slab<UInt8>(count: 64 * Self.stride)
        self.places = places
        self.memory = memory
    }

    /// Keeps a copy of a fragment.
    ///
    /// - Parameter packet: only read; a span that is borrowed for its octets would be put on the heap (Swift 6.3).
    /// - Returns: how many of those held before it had to go; nothing when it is too long to be held.
    mutating func hold(_ packet: inout MutableRawSpan, _ key: FragmentTable.Key, from side: Side, now: UInt32) -> Int? {
        guard packet.byteCount <= Self.longest else { return nil }
        let chosen = place(for: key.source)
        let gone = places[chosen].since == 0 ? 0 : 1
        let length = VirtioNetHeader.size + packet.byteCount
        places[chosen] = Place(key: key, since: now, length: Int32(length), side: side)
        var copy = memory.octets(chosen * Self.stride..<chosen * Self.stride + length)
        Self.write(packet.bytes, into: &copy)
        count += 1 - gone
        return gone
    }

    /// The oldest of its own for a source that has its share, else the oldest of all, which is an empty one if there is any.
    private func place(for source: IPAddress) -> Int {
        var (oldest, own, ownCount) = (0, 0, 0)
        for place in 0..<places.count {
            if places[place].since < places[oldest].since { oldest = place }
            guard places[place].since != 0, places[place].key.source == source else { continue }
            if ownCount == 0 || places[place].since < places[own].since { own = place }
            ownCount += 1
        }
        return ownCount < Self.share ? oldest : own
    }

    private static func write(_ packet: RawSpan, into copy: inout MutableRawSpan) {
        VirtioNetHeader().write(into: &copy)
        for offset in 0..<packet.byteCount {
            copy.store(packet.octet(at: offset), at: VirtioNetHeader.size + offset)
        }
    }

    /// The place of the next fragment of a datagram, the oldest of them first.
    func next(of key: FragmentTable.Key, from side: Side) -> Int? {
        var found: Int?
        for place in 0..<places.count
        where places[place].since != 0 && places[place].side == side && places[place].key == key {
            if found.map({ places[place].since < places[$0].since }) ?? true { found = place }
        }
        return found
    }

    /// A held fragment: virtio header and packet.
    @_lifetime(&self)
    mutating func octets(at place: Int) -> MutableRawSpan {
        memory.octets(place * Self.stride..<place * Self.stride + Int(places[place].length))
    }

    /// Where it lies, for a call into the kernel.
    func address(of place: Int) -> UnsafeMutablePointer<UInt8> { unsafe memory.address(of: place * Self.stride) }

    mutating func free(_ place: Int) {
        places[place].since = 0
        count -= 1
    }

    /// Lets go of what nobody claimed in time.
    ///
    /// - Returns: how many.
    mutating func expire(now: UInt32) -> Int {
        guard count > 0 else { return 0 }
        let before = count
        for place in 0..<places.count
        where places[place].since != 0 && now &- places[place].since > Self.lifetime { free(place) }
        return before - count
    }
}
