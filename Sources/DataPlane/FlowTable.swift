package import LinuxSystem
package import PacketParse

/// Every flow there is, in fixed memory, found by either of its two names.
///
/// A flow has an inside name (client and remote) and an outside name (the borrowed port and remote); each index leads to
/// the same slot. A lookup is meant to come in three passes over a batch: prefetch the buckets, prefetch the candidates'
/// entries, then find; the memory's latency is then paid once for the batch.
package struct FlowTable: ~Copyable, Sendable {
    package let capacity: Int
    package private(set) var live = 0

    private var entries: Slab<Flow>
    private var inside: HashIndex
    private var outside: HashIndex
    private var wheel: TimerWheel
    private let seed: HashSeed

    // Slots that were used and given back, and behind the watermark those never touched: their memory is not resident.
    private var returned: Slab<UInt32>
    private var returnedCount = 0
    private var watermark = 0
    private var clockHand = 0

    package init(capacity: Int, seed: HashSeed, now: UInt32) throws(KernelError) {
        let entries = try Slab<Flow>(count: capacity)
        let inside = try HashIndex(slots: capacity)
        let outside = try HashIndex(slots: capacity)
        let wheel = try TimerWheel(slots: capacity, now: now)
        let returned = try Slab<UInt32>(count: capacity)
        self.capacity = capacity
        self.seed = seed
        self.entries = entries
        self.inside = inside
        self.outside = outside
        self.wheel = wheel
        self.returned = returned
    }

    package subscript(slot: Int) -> Flow {
        @inline(always) _read { yield entries[slot] }
        @inline(always) _modify { yield &entries[slot] }
    }

    // MARK: Finding

    @inline(always) package func hash(_ key: FlowKey) -> UInt64 { key.hash(seed: seed) }

    /// Of an address alone.
    package func hash(_ address: IPAddress) -> UInt64 {
        hash(FlowKey(local: address, remote: .unspecified, localPort: 0, remotePort: 0, transport: .other))
    }

    @inline(always) package func prefetchInside(_ hash: UInt64) { inside.prefetch(hash) }
    @inline(always) package func prefetchOutside(_ hash: UInt64) { outside.prefetch(hash) }

    @inline(always) package func prefetchEntryInside(_ hash: UInt64) {
        if let slot = inside.candidate(hash) { entries.prefetch(slot) }
    }

    @inline(always) package func prefetchEntryOutside(_ hash: UInt64) {
        if let slot = outside.candidate(hash) { entries.prefetch(slot) }
    }

    @inline(always) package func findInside(_ key: FlowKey, _ hash: UInt64) -> Int? {
        inside.find(hash) { slot in
            entries[slot].client == key.local && entries[slot].remote == key.remote
                && entries[slot].clientPort == key.localPort && entries[slot].remotePort == key.remotePort
                && entries[slot].transport == key.transport
        }
    }

    /// `key.local` is the exit address, of which there is one per family: it is part of the hash and need not be compared.
    @inline(always) package func findOutside(_ key: FlowKey, _ hash: UInt64) -> Int? {
        outside.find(hash) { slot in
            entries[slot].remote == key.remote && entries[slot].outsidePort == key.localPort
                && entries[slot].remotePort == key.remotePort && entries[slot].transport == key.transport
        }
    }

    // MARK: Opening

    /// A slot for a new flow, or none when the table is full.
    package mutating func reserve() -> Int? {
        if returnedCount > 0 {
            returnedCount -= 1
            return Int(returned[returnedCount])
        }
        guard watermark < capacity else { return nil }
        watermark += 1
        return watermark - 1
    }

    private mutating func release(_ slot: Int) {
        returned[returnedCount] = UInt32(truncatingIfNeeded: slot)
        returnedCount += 1
    }

    package mutating func open(_ slot: Int, _ flow: Flow) {
        entries[slot] = flow
        inside.insert(flow.insideHash, slot)
        outside.insert(flow.outsideHash, slot)
        wheel.schedule(slot, at: flow.deadline)
        live += 1
    }

    // MARK: Ending

    /// Takes a flow out of both indexes and answers what it was.
    package mutating func close(_ slot: Int) -> Flow {
        let flow = entries[slot]
        wheel.cancel(slot)
        inside.remove(flow.insideHash, slot)
        outside.remove(flow.outsideHash, slot)
        entries[slot].insideHash = 0
        entries[slot].firstEgress = 0
        live -= 1
        release(slot)
        return flow
    }

    /// Looks a flow up again at its deadline: needed when a change of state has brought that nearer.
    package mutating func reschedule(_ slot: Int) { wheel.schedule(slot, at: entries[slot].deadline) }

    /// The next flow whose time is over, or none. Flows used in the meantime are put off on the way; each look costs one of
    /// `budget`, so that a million flows due in the same second do not hold the loop up.
    package mutating func nextExpired(_ now: UInt32, budget: inout Int) -> Int? {
        while budget > 0, let slot = wheel.nextDue(now) {
            budget -= 1
            let deadline = entries[slot].deadline
            if deadline <= now { return slot }
            wheel.schedule(slot, at: deadline)
        }
        return nil
    }

    /// A flow that may give way to a new one when the table is full: the longest unused among a bounded number looked at,
    /// never an established one.
    package mutating func nextToEvict() -> Int? {
        var found: (slot: Int, last: UInt32)?
        for _ in 0..<min(64, watermark) {
            clockHand = clockHand + 1 < watermark ? clockHand + 1 : 0
            guard isLive(clockHand), !entries[clockHand].state.isKept else { continue }
            let last = entries[clockHand].lastPacket
            if found.map({ last < $0.last }) ?? true { found = (clockHand, last) }
        }
        return found?.slot
    }

    @inline(always) private func isLive(_ slot: Int) -> Bool { entries[slot].firstEgress != 0 }

    /// The next slot with a live flow, from `slot` on.
    package func nextLive(from slot: Int) -> Int? {
        var slot = slot
        while slot < watermark {
            if isLive(slot) { return slot }
            slot += 1
        }
        return nil
    }

    /// The flows in a run of slots, for whoever shows them; what lies outside the table is nobody.
    package func flows(in slots: Range<Int>) -> [Flow] {
        slots.clamped(to: 0..<watermark).compactMap { isLive($0) ? entries[$0] : nil }
    }
}
