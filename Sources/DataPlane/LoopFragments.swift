import Glibc
import PacketParse

/// The way of fragments: packets that are cut here, and fragments that wait for their first one. Both are written straight
/// to a port, past the queue of the packet I/O, which is emptied before.
extension Loop where IO: ~Copyable {
    /// Cuts a packet that was rewritten.
    @inline(never)
    mutating func transmitInFragments(_ frame: consuming Frame, _ row: Row) {
        guard !shaping.isActive else { return queueInFragments(frame, row) }
        io.flush()
        let port = descriptor(row.side.opposite)
        var octets = io.octets(of: frame)
        var packet = octets._mutatingExtracting(VirtioNetHeader.size..<frame.length)
        do throws(DropReason) {
            try fragmentation.write(
                &packet, row.summary, mtu: nat.interface(row.side.opposite).mtu, checksum: row.checksum, to: port)
            countFragmented(row)
        } catch {
            statistics.drop(error)
        }
        io.recycle(frame)
    }

    private mutating func countFragmented(_ row: Row) {
        statistics.packetsFragmented &+= 1
        statistics.count(row.errand, bytes: row.summary.totalLength, isSuperPacket: false)
    }

    /// Keeps a copy of a later fragment whose first has not come; false when it is too long for that.
    mutating func hold(_ frame: borrowing Frame, _ row: Row) -> Bool {
        var octets = io.octets(of: frame)
        var packet = octets._mutatingExtracting(VirtioNetHeader.size..<frame.length)
        let key = FragmentTable.Key(row.summary)
        guard let gone = held.hold(&packet, key, from: row.side, now: clock.seconds) else { return false }
        statistics.drop(.refused(.heldFragmentExpired), count: gone)
        return true
    }

    /// Sends what waited for a first fragment that has just passed.
    @inline(never)
    mutating func release(heldFor first: Row) {
        let key = FragmentTable.Key(first.summary)
        while let place = held.next(of: key, from: first.side) {
            io.flush()
            do throws(DropReason) { try release(place, from: first.side) } catch { statistics.drop(error) }
            held.free(place)
        }
    }

    private mutating func release(_ place: Int, from side: Side) throws(DropReason) {
        let (row, passage) = try Self.translate(place, &held, side, &nat, now: clock.seconds, &statistics)
        switch passage {
        case .whole: try write(held: place, row, to: side.opposite, as: row.errand)
        case .back: try write(held: place, row, to: .inside, as: row.errand.turned)
        case .inFragments:
            // At any rate: they are few, and small.
            let (mtu, port) = (nat.interface(side.opposite).mtu, descriptor(side.opposite))
            try Self.writeInFragments(place, &held, row, &fragmentation, mtu, port)
            countFragmented(row)
        }
    }

    private static func translate(
        _ place: Int, _ held: inout HeldFragments, _ side: Side, _ nat: inout NAT, now: UInt32,
        _ statistics: inout Statistics
    ) throws(DropReason) -> (Row, Passage) {
        var octets = held.octets(at: place)
        var packet = octets._mutatingExtracting(VirtioNetHeader.size...)
        let summary: PacketSummary
        do throws(ParseError) { summary = try PacketSummary(parsing: packet.bytes) } catch { throw .malformed(error) }
        // It names no flow: there is nothing to hash.
        let row = Row(
            slot: 0, side: side, checksum: .complete, isSuperPacket: false, errand: Errand(from: side, summary),
            length: VirtioNetHeader.size + summary.totalLength, wireLength: summary.totalLength, hash: 0,
            summary: summary)
        return (row, try translate(&packet, row, &nat, now: now, &statistics))
    }

    private static func writeInFragments(
        _ place: Int, _ held: inout HeldFragments, _ row: Row, _ fragmentation: inout Fragmentation, _ mtu: Int,
        _ port: CInt
    ) throws(DropReason) {
        var octets = held.octets(at: place)
        var packet = octets._mutatingExtracting(VirtioNetHeader.size...)
        try fragmentation.write(&packet, row.summary, mtu: mtu, checksum: .complete, to: port)
    }

    private mutating func write(
        held place: Int, _ row: Row, to side: Side, as errand: Errand
    ) throws(DropReason) {
        guard !shaping.isActive else { return try queue(held: place, row, to: side, as: errand) }
        guard unsafe Glibc.write(descriptor(side), held.address(of: place), row.length) == row.length else {
            throw .refused(.writeRefused)
        }
        statistics.count(errand, bytes: row.summary.totalLength, isSuperPacket: false)
    }
}
