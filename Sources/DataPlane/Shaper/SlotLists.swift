package import LinuxSystem

/// Doubly linked lists through numbered slots, each of which is in one list or in none.
package struct SlotLists: ~Copyable, Sendable {
    // Slots and lists are kept plus one, so that zeroed memory means "none".
    struct Ends: BitwiseCopyable {
        var first: UInt32
        var last: UInt32
    }

    struct Link: BitwiseCopyable {
        var next: UInt32
        var previous: UInt32
        var list: UInt32
    }

    private var ends: Slab<Ends>
    private var links: Slab<Link>

    package init(slots: Int, lists: Int) throws(KernelError) {
        let ends = try Slab<Ends>(count: lists)
        let links = try Slab<Link>(count: slots)
        self.ends = ends
        self.links = links
    }

    @inline(always) package func first(of list: Int) -> Int? { Self.slot(ends[list].first) }

    @inline(always) package func next(after slot: Int) -> Int? { Self.slot(links[slot].next) }

    /// The list that a slot is in.
    @inline(always) package func list(of slot: Int) -> Int? { Self.slot(links[slot].list) }

    @inline(always) private static func slot(_ kept: UInt32) -> Int? { kept == 0 ? nil : Int(kept) &- 1 }

    /// Puts a slot at a list's end, out of the one it is in.
    package mutating func append(_ slot: Int, to list: Int) {
        remove(slot)
        let kept = UInt32(truncatingIfNeeded: slot &+ 1)
        let last = ends[list].last
        links[slot] = Link(next: 0, previous: last, list: UInt32(truncatingIfNeeded: list &+ 1))
        ends[list].last = kept
        if let last = Self.slot(last) { links[last].next = kept } else { ends[list].first = kept }
    }

    /// Takes a slot out of its list, if it is in one.
    package mutating func remove(_ slot: Int) {
        let link = links[slot]
        guard let list = Self.slot(link.list) else { return }
        if let next = Self.slot(link.next) {
            links[next].previous = link.previous
        } else {
            ends[list].last = link.previous
        }
        if let previous = Self.slot(link.previous) {
            links[previous].next = link.next
        } else {
            ends[list].first = link.next
        }
        links[slot] = Link(next: 0, previous: 0, list: 0)
    }
}
