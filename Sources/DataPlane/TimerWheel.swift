package import LinuxSystem

/// Says which slots are due: a wheel of one bucket per second, each a doubly linked list through the slots.
///
/// A slot is scheduled for the earliest second in which it could end and looked at only then. One that has been used in
/// the meantime is scheduled again, so a packet costs the wheel nothing and a flow costs one visit per timeout.
package struct TimerWheel: ~Copyable, Sendable {
    /// The longest delay the wheel can hold, in seconds: more than RFC 5382's two hours and four minutes.
    package static let horizon: UInt32 = 8191

    struct Link: BitwiseCopyable {
        var next: UInt32
        var previous: UInt32
        var bucket: UInt32
    }

    // Slots and buckets are kept plus one, so that zeroed memory means "none".
    private var heads: Slab<UInt32>
    private var links: Slab<Link>
    private var cursor: UInt32

    package init(slots: Int, now: UInt32) throws(KernelError) {
        let heads = try Slab<UInt32>(count: Int(Self.horizon) + 1)
        let links = try Slab<Link>(count: slots)
        self.heads = heads
        self.links = links
        cursor = now
    }

    private func bucket(of second: UInt32) -> Int { Int(second & Self.horizon) }

    package mutating func schedule(_ slot: Int, at second: UInt32) {
        cancel(slot)
        let earliest = max(second, cursor &+ 1)
        let bucket = bucket(of: min(earliest, cursor &+ Self.horizon))
        let head = heads[bucket]
        links[slot] = Link(next: head, previous: 0, bucket: UInt32(bucket) + 1)
        if head != 0 { links[Int(head) - 1].previous = UInt32(slot) + 1 }
        heads[bucket] = UInt32(slot) + 1
    }

    package mutating func cancel(_ slot: Int) {
        let link = links[slot]
        guard link.bucket != 0 else { return }
        if link.previous != 0 {
            links[Int(link.previous) - 1].next = link.next
        } else {
            heads[Int(link.bucket) - 1] = link.next
        }
        if link.next != 0 { links[Int(link.next) - 1].previous = link.previous }
        links[slot] = Link(next: 0, previous: 0, bucket: 0)
    }

    /// Takes the next slot that is due by `now`, or none.
    package mutating func nextDue(_ now: UInt32) -> Int? {
        while true {
            let head = heads[bucket(of: cursor)]
            if head != 0 {
                let slot = Int(head) - 1
                cancel(slot)
                return slot
            }
            if cursor >= now { return nil }
            cursor &+= 1
        }
    }
}
