import Glibc
import LinuxSystem
package import PacketParse

/// Cuts an IPv4 packet, or a fragment of one, into fragments that a link takes (RFC 791 section 3.2).
package struct Fragmenter {
    private let headerLength: Int
    private let totalLength: Int
    /// Octets of data in each fragment but the last: a multiple of eight.
    private let room: Int

    /// Whether a link takes fragments of such a packet at all: eight octets of data are the least.
    static func fits(_ summary: PacketSummary, mtu: Int) -> Bool { mtu >= summary.transportOffset + 8 }

    /// - Parameter mtu: one that `fits`.
    package init(_ summary: PacketSummary, mtu: Int) {
        headerLength = summary.transportOffset
        totalLength = summary.totalLength
        room = (mtu - headerLength) & ~7
    }

    package var count: Int { (totalLength - headerLength + room - 1) / room }

    /// Writes the fragment with this number into `fragment`, behind a virtio header that asks for nothing.
    ///
    /// - Parameter fragment: room for the virtio header and the longest fragment.
    /// - Returns: the octets used.
    package func write(_ number: Int, of packet: RawSpan, into fragment: inout MutableRawSpan) -> Int {
        let start = headerLength + number * room
        let data = min(room, totalLength - start)
        let lead = VirtioNetHeader.size
        VirtioNetHeader().write(into: &fragment)
        for offset in 0..<headerLength { fragment.store(packet.octet(at: offset), at: lead + offset) }
        for offset in 0..<data { fragment.store(packet.octet(at: start + offset), at: lead + headerLength + offset) }

        var header = fragment._mutatingExtracting(lead..<lead + headerLength)
        if number > 0 { dropUncopiedOptions(&header) }
        // Counts in units of eight octets; whatever flag stands in front of the offset stays.
        var place = packet.word16(at: 6) &+ UInt16(truncatingIfNeeded: number * room / 8)
        if start + data < totalLength { place |= 0x2000 }
        header.store(place, at: 6)
        header.store(UInt16(headerLength + data), at: IPv4Header.Field.totalLength)
        header.store(0 as UInt16, at: IPv4Header.Field.headerChecksum)
        let checksum = InternetChecksum.complete(InternetChecksum.sum(header.bytes))
        header.store(checksum, at: IPv4Header.Field.headerChecksum)
        return lead + headerLength + data
    }

    /// Options that belong to the first fragment alone become padding in the others (RFC 791 section 3.1, "copied").
    private func dropUncopiedOptions(_ header: inout MutableRawSpan) {
        let (endOfList, padding): (UInt8, UInt8) = (0, 1)
        var offset = 20
        while offset < headerLength {
            let kind = header.bytes.octet(at: offset)
            if kind == endOfList { return }
            if kind == padding {
                offset += 1
                continue
            }
            guard offset + 1 < headerLength else { return }
            let length = Int(header.bytes.octet(at: offset + 1))
            guard length >= 2, offset + length <= headerLength else { return }
            if kind & 0x80 == 0 { for octet in offset..<offset + length { header.store(padding, at: octet) } }
            offset += length
        }
    }
}

/// Writes packets in fragments to a port.
struct Fragmentation: ~Copyable {
    private var room: FrameArena

    init() throws(KernelError) { room = try FrameArena(slots: 1) }

    /// - Parameters:
    ///   - packet: an IPv4 packet, rewritten.
    ///   - checksum: completed before the cut, for afterwards nobody could.
    /// - Throws: `writeRefused` when the port takes not even a piece.
    mutating func write(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, mtu: Int, checksum: PendingChecksum, to port: CInt
    ) throws(DropReason) {
        if checksum == .partial { Self.completeChecksum(&packet, summary) }
        let fragmenter = Fragmenter(summary, mtu: mtu)
        for number in 0..<fragmenter.count {
            var piece = room.octets(inSlot: 0, length: FrameArena.capacity)
            let length = fragmenter.write(number, of: packet.bytes, into: &piece)
            guard unsafe Glibc.write(port, room.address(of: 0), length) == length else { throw .refused(.writeRefused) }
        }
    }

    /// The same, into a queue.
    ///
    /// - Parameters:
    ///   - client: as `Shaper.offer` takes them, `flow`, `tag` and `now` too.
    mutating func queue(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, mtu: Int, checksum: PendingChecksum,
        in shaper: inout Shaper, client: UInt64, flow: UInt64, tag: UInt8, now: UInt64
    ) throws(DropReason) {
        if checksum == .partial { Self.completeChecksum(&packet, summary) }
        let fragmenter = Fragmenter(summary, mtu: mtu)
        for number in 0..<fragmenter.count {
            var piece = room.octets(inSlot: 0, length: FrameArena.capacity)
            let length = fragmenter.write(number, of: packet.bytes, into: &piece)
            var fragment = room.octets(inSlot: 0, length: length)
            try shaper.offer(&fragment, client: client, flow: flow, tag: tag, now: now)
        }
    }

    /// Adds what the kernel was to add: the field holds the pseudo-header's sum already.
    private static func completeChecksum(_ packet: inout MutableRawSpan, _ summary: PacketSummary) {
        let start = summary.transportOffset
        let field: Int
        switch summary.transport {
        case .tcp: field = start + TCPHeader.Field.checksum
        case .udp: field = start + UDPHeader.Field.checksum
        default: return
        }
        let checksum = InternetChecksum.complete(
            InternetChecksum.sum(packet.bytes.extracting(start..<summary.totalLength)))
        packet.store(summary.transport == .udp && checksum == 0 ? 0xffff : checksum, at: field)
    }
}
