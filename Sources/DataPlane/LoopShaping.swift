import PacketParse

/// The way of packets while there is a limit: into a queue of copies, and out of it straight to a port when it is their turn.
extension Loop where IO: ~Copyable {
    /// What is remembered of a queued packet, besides its errand.
    private var superPacket: UInt8 { 1 << 6 }

    /// Queues a packet that was rewritten. Errors of ours go at once: they are few, and limited already.
    @inline(never)
    mutating func queue(_ frame: consuming Frame, _ row: Row, to side: Side, as errand: Errand) {
        guard !errand.isError else { return send(frame, row, to: side, as: errand) }
        let tag = errand.place | (row.isSuperPacket && !shaping.splits ? superPacket : 0)
        let client = client(of: frame, row, to: side)
        var octets = io.octets(of: frame)
        do throws(DropReason) {
            if side == .outside {
                try shaping.toOutside.offer(&octets, client: client, flow: row.hash, tag: tag, now: clock.nanoseconds)
            } else {
                try shaping.toInside.offer(&octets, client: client, flow: row.hash, tag: tag, now: clock.nanoseconds)
            }
        } catch {
            statistics.drop(error)
        }
        io.recycle(frame)
    }

    /// A hash of the address by which the tailnet knows the client.
    private mutating func client(of frame: borrowing Frame, _ row: Row, to side: Side) -> UInt64 {
        var octets = io.octets(of: frame)
        // Rewritten by now: the client is where it goes.
        let address = side == .inside ? Self.destination(of: &octets) : row.summary.source
        return nat.flows.hash(address)
    }

    private static func destination(of frame: inout MutableRawSpan) -> IPAddress {
        do throws(ParseError) {
            return try PacketSummary(parsing: frame.bytes.extracting(droppingFirst: VirtioNetHeader.size)).destination
        } catch {
            return .unspecified
        }
    }

    /// Queues a packet in the fragments that its link takes.
    @inline(never)
    mutating func queueInFragments(_ frame: consuming Frame, _ row: Row) {
        let client = client(of: frame, row, to: row.side.opposite)
        let mtu = nat.interface(row.side.opposite).mtu
        var octets = io.octets(of: frame)
        var packet = octets._mutatingExtracting(VirtioNetHeader.size..<frame.length)
        do throws(DropReason) {
            if row.side == .inside {
                try fragmentation.queue(
                    &packet, row.summary, mtu: mtu, checksum: row.checksum, in: &shaping.toOutside, client: client,
                    flow: row.hash, tag: row.errand.place, now: clock.nanoseconds)
            } else {
                try fragmentation.queue(
                    &packet, row.summary, mtu: mtu, checksum: row.checksum, in: &shaping.toInside, client: client,
                    flow: row.hash, tag: row.errand.place, now: clock.nanoseconds)
            }
            statistics.packetsFragmented &+= 1
        } catch {
            statistics.drop(error)
        }
        io.recycle(frame)
    }

    /// Queues a fragment that was held. No flow is known of it; it waits with its client's others.
    mutating func queue(held place: Int, _ row: Row, to side: Side, as errand: Errand) throws(DropReason) {
        var octets = held.octets(at: place)
        let address = side == .inside ? Self.destination(of: &octets) : row.summary.source
        let (client, tag, now) = (nat.flows.hash(address), errand.place, clock.nanoseconds)
        if side == .outside {
            try Self.offer(place, &held, to: &shaping.toOutside, client, tag, now)
        } else {
            try Self.offer(place, &held, to: &shaping.toInside, client, tag, now)
        }
    }

    private static func offer(
        _ place: Int, _ held: inout HeldFragments, to shaper: inout Shaper, _ client: UInt64, _ tag: UInt8,
        _ now: UInt64
    ) throws(DropReason) {
        var octets = held.octets(at: place)
        try shaper.offer(&octets, client: client, flow: client, tag: tag, now: now)
    }

    /// Writes what may go now.
    @inline(never)
    mutating func release() {
        let now = clock.nanoseconds
        while let departure = shaping.toOutside.release(now: now) {
            let (length, tag) = (departure.length, departure.tag)
            let written = shaping.toOutside.write(departure, to: descriptor(.outside))
            count(written, length, tag)
        }
        while let departure = shaping.toInside.release(now: now) {
            let (length, tag) = (departure.length, departure.tag)
            let written = shaping.toInside.write(departure, to: descriptor(.inside))
            count(written, length, tag)
        }
        countLosses(shaping.toOutside.takeLosses())
        countLosses(shaping.toInside.takeLosses())
        shaping.settle()
    }

    private mutating func count(_ written: Int, _ length: Int, _ tag: UInt8) {
        guard written == length else { return statistics.drop(.refused(.writeRefused)) }
        statistics.count(
            Errand(place: tag & ~superPacket), bytes: length - VirtioNetHeader.size,
            isSuperPacket: tag & superPacket != 0)
    }

    private mutating func countLosses(_ losses: FairQueue.Losses) {
        statistics.drop(.refused(.queueFull), count: Int(truncatingIfNeeded: losses.overflowed))
        statistics.drop(.refused(.queueStands), count: Int(truncatingIfNeeded: losses.dropped))
        statistics.drop(.refused(.capReached), count: Int(truncatingIfNeeded: losses.cleared))
    }
}
