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
        var length: Int
        var hash: UInt64
        var summary: PacketSummary
    }

    /// Rows of a batch, and the octets after which it is full: more would push its beginning out of the second-level cache.
    private static var batchRows: Int { 32 }
    private static var batchOctets: Int { 512 * 1024 }
    /// Batches between two looks at the clock, at what ends and at who asks: a flood must not hold these up.
    private static var batchesPerRound: Int { 16 }

    private(set) var io: IO
    private var inside: Port
    private var outside: Port
    private var nat: NAT
    private var rows: Slab<Row>
    private var rowCount = 0
    private var segmentation: Segmentation
    package private(set) var statistics = Statistics()
    private var clock: LoopClock
    private let inquiries: Inquiries

    /// - Parameter io: on these two ports.
    package init(
        io: consuming IO, inside: consuming Port, outside: consuming Port, nat: consuming NAT, clock: LoopClock,
        inquiries: Inquiries
    ) throws(KernelError) {
        let rows = try Slab<Row>(count: Self.batchRows)
        let segmentation = try Segmentation()
        self.rows = rows
        self.segmentation = segmentation
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
            // A second is how often idle flows are looked at; nothing else needs the time.
            try io.wait(milliseconds: isDone ? 1000 : 0)
            clock.read()
            for _ in 0..<Self.batchesPerRound {
                guard try receive() else { break }
                prefetch()
                for index in 0..<rowCount { forward(rows[index]) }
            }
            while let refused = io.nextRefused() { try retry(refused) }
            isDone = nat.expire(now: clock.seconds, budget: 256, &statistics)
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
        if header.gsoType != .none {
            // The kernel puts as much of a write into an skb's head as this says; too much costs it a large allocation.
            header.headerLength = UInt16(
                try header.superPacketHeaderLength(
                    octets.bytes.extracting(droppingFirst: VirtioNetHeader.size), summary))
            header.write(into: &octets)
        }
        let isPartial =
            header.flags.contains(.needsChecksum) && Int(header.checksumStart) == summary.transportOffset
        let key = side == .inside ? FlowKey.outbound(summary) : .inbound(summary)
        return Row(
            slot: frame.slot, side: side, checksum: isPartial ? .partial : .complete,
            isSuperPacket: header.gsoType != .none, length: VirtioNetHeader.size + summary.totalLength,
            hash: nat.flows.hash(key), summary: summary)
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
        do throws(DropReason) {
            try translate(row, frame)
            let direction: Direction = row.side == .inside ? .egress : .ingress
            statistics.forward(direction, bytes: row.summary.totalLength, isSuperPacket: row.isSuperPacket)
            io.transmit(frame, to: row.side.opposite)
        } catch {
            statistics.drop(error)
            io.recycle(frame)
        }
    }

    @inline(always)
    private mutating func translate(_ row: Row, _ frame: borrowing Frame) throws(DropReason) {
        var octets = io.octets(of: frame)
        var packet = octets._mutatingExtracting(VirtioNetHeader.size..<frame.length)
        switch row.side {
        case .inside:
            try nat.egress(
                &packet, row.summary, hash: row.hash, checksum: row.checksum, now: clock.seconds, &statistics)
        case .outside:
            try nat.ingress(&packet, row.summary, hash: row.hash, checksum: row.checksum, now: clock.seconds)
        }
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
        let direction: Direction = side == .outside ? .egress : .ingress
        statistics.withdraw(direction, bytes: frame.length - VirtioNetHeader.size, isSuperPacket: isSuperPacket)
        do throws(DropReason) {
            guard error == .invalidArgument, isSuperPacket else { throw .refused(.writeRefused) }
            let port = side == .inside ? inside.descriptor.raw : outside.descriptor.raw
            let octets = io.octets(of: frame)
            let kind = try segmentation.write(octets.bytes, to: port, direction, &statistics)
            let rung: Port.Offloads = kind == .udpL4 ? .noUSO : .none
            if side == .inside { outside.degrade(to: rung) } else { inside.degrade(to: rung) }
        } catch {
            statistics.drop(error)
        }
        io.recycle(frame)
    }

    private mutating func isSuperPacket(_ frame: borrowing Frame) -> Bool {
        let octets = io.octets(of: frame)
        guard let header = try? VirtioNetHeader(parsing: octets.bytes) else { return false }
        return header.gsoType != .none
    }

    private func snapshot() -> Snapshot {
        Snapshot(
            statistics: statistics, flowsLive: nat.flows.live, flowsCapacity: nat.flows.capacity,
            bindingsInUse: nat.bindings.inUse, offloads: (inside.offloads, outside.offloads), seconds: clock.seconds)
    }
}
