import Glibc
package import LinuxSystem
import PacketParse
import SystemPackage

/// Moves packets between two ports, both ways, on one thread.
///
/// Rooms, in the order a packet meets them: receive, parse, decide, rewrite, transmit, recycle. So are the functions. A
/// batch goes through a room as a whole where that hides the memory's latency: parse and prefetch the index, prefetch the
/// entries, then decide.
package struct Loop<IO: PacketIO & ~Copyable>: ~Copyable {
    /// A received packet on its way through the rooms.
    struct Row: BitwiseCopyable {
        var slot: UInt16
        var side: Side
        var checksum: PendingChecksum
        var isSuperPacket: Bool
        /// What it is if it goes straight on.
        var errand: Errand
        /// Of the frame: the virtio header and the packet.
        var length: Int
        /// Of the packet, or of each but the last that a super-packet stands for.
        var wireLength: Int
        var hash: UInt64
        var summary: PacketSummary
    }

    /// Rows of a batch, and the octets after which it is full: more would push its beginning out of the second-level cache.
    private static var batchRows: Int { 32 }
    private static var batchOctets: Int { 512 * 1024 }
    /// Batches between two looks at the clock, at what ends and at who asks: a flood must not hold these up.
    private static var batchesPerRound: Int { 16 }

    var io: IO
    private var inside: Port
    private var outside: Port
    var nat: NAT
    private var rows: Slab<Row>
    private var rowCount = 0
    private var segmentation: Segmentation
    var fragmentation: Fragmentation
    var held: HeldFragments
    private var limiter: ErrorLimiter
    /// What each slot's frame was last written as.
    private var errands: Slab<Errand>
    package internal(set) var statistics = Statistics()
    var clock: LoopClock
    private let inquiries: Inquiries
    private var gate = Gate.open
    var shaping: Shaping

    /// - Parameter io: on these two ports.
    package init(
        io: consuming IO, inside: consuming Port, outside: consuming Port, nat: consuming NAT, clock: LoopClock,
        inquiries: Inquiries
    ) throws(KernelError) {
        let rows = try Slab<Row>(count: Self.batchRows)
        let segmentation = try Segmentation()
        let fragmentation = try Fragmentation()
        let held = try HeldFragments()
        let limiter = try ErrorLimiter()
        let errands = try Slab<Errand>(count: Int(UInt16.max) + 1)
        let shaping = try Shaping(now: clock.nanoseconds)
        self.rows = rows
        self.segmentation = segmentation
        self.fragmentation = fragmentation
        self.held = held
        self.limiter = limiter
        self.errands = errands
        self.shaping = shaping
        self.io = io
        self.inside = inside
        self.outside = outside
        self.nat = nat
        self.clock = clock
        self.inquiries = inquiries
    }

    /// Runs until an inquiry asks it to stop.
    ///
    /// - Throws: what the kernel said when a port cannot be read any more: `EBADFD`, the interface is gone.
    package mutating func run() throws(KernelError) {
        var isDone = true
        while !inquiries.stopRequested {
            // A second is how often idle flows are looked at; nothing else needs the time, but what waits for its turn.
            try io.wait(milliseconds: isDone ? shaping.pause(after: clock.nanoseconds) : 0)
            clock.read()
            if inquiries.gate != gate { follow(inquiries.gate) }
            if shaping.isActive { release() }
            for _ in 0..<Self.batchesPerRound {
                guard try receive() else { break }
                prefetch()
                for index in 0..<rowCount { forward(rows[index]) }
                inquiries.bell.tell(passed: statistics.octetsPassed)
            }
            if shaping.isActive { release() }
            while let refused = io.nextRefused() { try retry(refused) }
            isDone = nat.expire(now: clock.seconds, budget: 256, &statistics)
            statistics.drop(.refused(.heldFragmentExpired), count: held.expire(now: clock.seconds))
            if inquiries.isWaiting { inquiries.answer(&nat, snapshot()) }
        }
    }

    // MARK: Receive and parse

    /// Fills a batch with what has arrived; false when nothing has.
    private mutating func receive() throws(KernelError) -> Bool {
        rowCount = 0
        var octets = 0
        while rowCount < Self.batchRows, octets < Self.batchOctets, let arrival = try io.next() {
            let side = arrival.side
            let frame = arrival.take()
            octets += frame.length
            do throws(DropReason) {
                rows[rowCount] = try parse(frame, side)
                rowCount += 1
                _ = frame.surrender()
            } catch {
                statistics.drop(error)
                io.recycle(frame)
            }
        }
        return rowCount > 0
    }

    private mutating func parse(_ frame: borrowing Frame, _ side: Side) throws(DropReason) -> Row {
        var octets = io.octets(of: frame)
        var header: VirtioNetHeader
        let summary: PacketSummary
        do throws(ParseError) {
            header = try VirtioNetHeader(parsing: octets.bytes)
            summary = try PacketSummary(parsing: octets.bytes.extracting(droppingFirst: VirtioNetHeader.size))
            guard header.pendingChecksumEnd <= summary.totalLength else { throw .truncated }
        } catch {
            throw .malformed(error)
        }
        var wireLength = summary.totalLength
        if header.gsoType != .none {
            // The kernel puts as much of a write into an skb's head as this says; too much costs it a large allocation.
            header.headerLength = UInt16(
                try header.superPacketHeaderLength(
                    octets.bytes.extracting(droppingFirst: VirtioNetHeader.size), summary))
            header.write(into: &octets)
            wireLength = min(wireLength, Int(header.headerLength) &+ Int(header.gsoSize))
        }
        let isPartial =
            header.flags.contains(.needsChecksum) && Int(header.checksumStart) == summary.transportOffset
        let key = side == .inside ? FlowKey.outbound(summary) : .inbound(summary)
        return Row(
            slot: frame.slot, side: side, checksum: isPartial ? .partial : .complete,
            isSuperPacket: header.gsoType != .none, errand: Errand(from: side, summary),
            length: VirtioNetHeader.size + summary.totalLength,
            wireLength: wireLength, hash: nat.flows.hash(key), summary: summary)
    }

    private func prefetch() {
        for index in 0..<rowCount {
            if rows[index].side == .inside {
                nat.flows.prefetchInside(rows[index].hash)
            } else {
                nat.flows.prefetchOutside(rows[index].hash)
            }
        }
        for index in 0..<rowCount {
            if rows[index].side == .inside {
                nat.flows.prefetchEntryInside(rows[index].hash)
            } else {
                nat.flows.prefetchEntryOutside(rows[index].hash)
            }
        }
    }

    // MARK: Decide, rewrite, transmit

    @inline(always)
    private mutating func forward(_ row: Row) {
        let frame = Frame(slot: row.slot, length: row.length)
        guard !shaping.isClosed else { return refuse(frame, row, .refused(.capReached)) }
        let passage: Passage
        do throws(DropReason) {
            passage = try translate(frame, row)
        } catch {
            return refuse(frame, row, error)
        }
        switch passage {
        case .whole: transmit(frame, row, to: row.side.opposite, as: row.errand)
        case .back: transmit(frame, row, to: .inside, as: row.errand.turned)
        case .inFragments: transmitInFragments(frame, row)
        }
        if row.summary.fragment == .first, held.count > 0 { release(heldFor: row) }
    }

    @inline(always)
    private mutating func translate(_ frame: borrowing Frame, _ row: Row) throws(DropReason) -> Passage {
        var octets = io.octets(of: frame)
        var packet = octets._mutatingExtracting(VirtioNetHeader.size..<frame.length)
        return try Self.translate(&packet, row, &nat, now: clock.seconds, &statistics)
    }

    @inline(always)
    static func translate(
        _ packet: inout MutableRawSpan, _ row: Row, _ nat: inout NAT, now: UInt32, _ statistics: inout Statistics
    ) throws(DropReason) -> Passage {
        switch row.side {
        case .inside:
            let passage = try nat.egress(
                &packet, row.summary, wireLength: row.wireLength, hash: row.hash, checksum: row.checksum, now: now,
                &statistics)
            if passage == .back { try turn(&packet, row, &nat, now: now) }
            return passage
        case .outside:
            return try nat.ingress(
                &packet, row.summary, wireLength: row.wireLength, hash: row.hash, checksum: row.checksum, now: now)
        }
    }

    /// What one client sent to another's port, and already bears the exit address, arrives as if from outside.
    @inline(never)
    private static func turn(
        _ packet: inout MutableRawSpan, _ row: Row, _ nat: inout NAT, now: UInt32
    ) throws(DropReason) {
        let summary: PacketSummary
        do throws(ParseError) { summary = try PacketSummary(parsing: packet.bytes) } catch { throw .malformed(error) }
        let hash = nat.flows.hash(.inbound(summary))
        do throws(DropReason) {
            _ = try nat.ingress(
                &packet, summary, wireLength: row.wireLength, hash: hash, checksum: row.checksum, now: now)
        } catch .refused(.unknownFragment) {
            // Its first one was refused here: nothing to wait for, and it is no longer what its sender sent.
            throw .refused(.noFlow)
        }
    }

    @inline(always)
    private mutating func transmit(_ frame: consuming Frame, _ row: Row, to side: Side, as errand: Errand) {
        guard !shaping.isActive else { return queue(frame, row, to: side, as: errand) }
        send(frame, row, to: side, as: errand)
    }

    @inline(always)
    mutating func send(_ frame: consuming Frame, _ row: Row, to side: Side, as errand: Errand) {
        statistics.count(errand, bytes: frame.length &- VirtioNetHeader.size, isSuperPacket: row.isSuperPacket)
        errands[Int(frame.slot)] = errand
        io.transmit(frame, to: side)
    }

    // MARK: What is not forwarded

    /// Drops a packet and tells its sender, where it deserves that; a fragment whose first has not come yet is held.
    @inline(never)
    private mutating func refuse(_ frame: consuming Frame, _ row: Row, _ reason: DropReason) {
        if case .refused(.unknownFragment) = reason, hold(frame, row) { return io.recycle(frame) }
        statistics.drop(reason)
        // What comes from outside is told to nobody: an answer would be billed.
        guard let error = reason.answer, !shaping.isClosed || row.side == .inside else { return io.recycle(frame) }
        let summary = row.summary
        let source = nat.interface(row.side).address(isV4: summary.isV4)
        guard ICMPError.mayAnswer(summary), source != .unspecified else { return io.recycle(frame) }
        guard limiter.admit(error, toHash: nat.flows.hash(summary.source), now: clock.nanoseconds) else {
            statistics.errorsSuppressed &+= 1
            return io.recycle(frame)
        }
        // The error may be longer than the packet; a slot has room for both.
        let length = ICMPError.length(about: row.wireLength, isV4: summary.isV4)
        var answer = Frame(slot: frame.surrender(), length: max(row.length, VirtioNetHeader.size + length))
        var octets = io.octets(of: answer)
        error.build(
            in: &octets, about: summary, wireLength: row.wireLength, from: source,
            mtu: nat.nextHopMTU(of: summary, from: row.side))
        answer.length = VirtioNetHeader.size + length
        transmit(answer, row, to: row.side, as: Errand(error))
    }

    // MARK: What a port did not take

    /// A super-packet that a port refuses whole is cut and written in pieces, and the other port stops delivering its
    /// kind: some kernels refuse what they offered (6.1.103, 6.6.44, 6.10.3 among them). Anything else is dropped. Either
    /// way it was counted as forwarded when it was handed over, which is taken back.
    private mutating func retry(_ refused: consuming RefusedFrame) throws(KernelError) {
        let side = refused.side
        let error = refused.errno
        let frame = refused.take()
        guard !error.isEndOfPort else {
            io.recycle(frame)
            throw KernelError("write", error, side.portName)
        }
        let isSuperPacket = isSuperPacket(frame)
        let errand = errands[Int(frame.slot)]
        statistics.withdraw(errand, bytes: frame.length - VirtioNetHeader.size, isSuperPacket: isSuperPacket)
        do throws(DropReason) {
            guard error == .invalidArgument, isSuperPacket else { throw .refused(.writeRefused) }
            let port = descriptor(side)
            let octets = io.octets(of: frame)
            let kind = try segmentation.write(octets.bytes, to: port, errand, &statistics)
            let rung: Port.Offloads = kind == .udpL4 ? .noUSO : .none
            if side == .inside { outside.degrade(to: rung) } else { inside.degrade(to: rung) }
        } catch {
            // What an error is about counts as dropped already.
            if !errand.isError { statistics.drop(error) }
        }
        io.recycle(frame)
    }

    private mutating func isSuperPacket(_ frame: borrowing Frame) -> Bool {
        let octets = io.octets(of: frame)
        guard let header = try? VirtioNetHeader(parsing: octets.bytes) else { return false }
        return header.gsoType != .none
    }

    func descriptor(_ side: Side) -> CInt {
        side == .inside ? inside.descriptor.raw : outside.descriptor.raw
    }

    /// What other threads say is to pass from now on.
    @inline(never)
    private mutating func follow(_ gate: Gate) {
        self.gate = gate
        // What is queued here must not overtake it.
        io.flush()
        shaping.follow(gate, now: clock.nanoseconds)
    }

    private func snapshot() -> Snapshot {
        Snapshot(
            statistics: statistics, flowsLive: nat.flows.live, flowsFlushed: nat.flowsFlushed,
            endedFlows: nat.endedFlows,
            fragmentsHeld: held.count, flowsCapacity: nat.flows.capacity,
            bindingsInUse: nat.bindings.inUse, offloads: (inside.offloads, outside.offloads),
            queues: (
                Snapshot.Queue(shaping.toOutside.queue, now: clock.nanoseconds),
                Snapshot.Queue(shaping.toInside.queue, now: clock.nanoseconds)
            ), seconds: clock.seconds)
    }
}
