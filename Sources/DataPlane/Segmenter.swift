import Glibc
import LinuxSystem
package import PacketParse

/// Cuts a super-packet into the packets that it stands for, as the kernel or a network card would have done.
///
/// Only for ports that refuse one whole: it computes each checksum anew and so is the one place that reads a payload's
/// octets, to add them up.
package struct Segmenter {
    private let header: VirtioNetHeader
    private let summary: PacketSummary
    private let headerLength: Int

    /// - Throws: `badSuperPacket` where header and packet contradict each other.
    package init(_ packet: RawSpan, _ header: VirtioNetHeader, _ summary: PacketSummary) throws(DropReason) {
        self.header = header
        self.summary = summary
        headerLength = try header.superPacketHeaderLength(packet, summary)
    }

    package var count: Int { (summary.totalLength - headerLength + Int(header.gsoSize) - 1) / Int(header.gsoSize) }

    /// Writes the segment with this number into `segment`, behind a virtio header that asks for nothing.
    ///
    /// - Parameter segment: room for the virtio header and the longest segment.
    /// - Returns: the octets used.
    package func write(_ number: Int, of packet: RawSpan, into segment: inout MutableRawSpan) -> Int {
        let start = headerLength + number * Int(header.gsoSize)
        let payload = min(Int(header.gsoSize), summary.totalLength - start)
        let length = headerLength + payload
        let lead = VirtioNetHeader.size
        VirtioNetHeader().write(into: &segment)
        for offset in 0..<headerLength { segment.store(packet.octet(at: offset), at: lead + offset) }
        for offset in 0..<payload { segment.store(packet.octet(at: start + offset), at: lead + headerLength + offset) }

        var cut = segment._mutatingExtracting(lead..<lead + length)
        if summary.isV4 {
            let identification = packet.word16(at: IPv4Header.Field.identification)
            cut.store(UInt16(length), at: IPv4Header.Field.totalLength)
            cut.store(identification &+ UInt16(truncatingIfNeeded: number), at: IPv4Header.Field.identification)
            cut.store(0 as UInt16, at: IPv4Header.Field.headerChecksum)
            let sum = InternetChecksum.sum(cut.bytes.extracting(0..<summary.transportOffset))
            cut.store(InternetChecksum.complete(sum), at: IPv4Header.Field.headerChecksum)
        } else {
            cut.store(UInt16(length - IPv6Header.size), at: IPv6Header.Field.payloadLength)
        }
        finishTransport(&cut, number, isLast: start + payload == summary.totalLength)
        return lead + length
    }

    private func finishTransport(_ packet: inout MutableRawSpan, _ number: Int, isLast: Bool) {
        let start = summary.transportOffset
        let transportLength = packet.byteCount - start
        let checksumField: Int
        if summary.transport == .tcp {
            checksumField = start + TCPHeader.Field.checksum
            let sequenceField = start + TCPHeader.Field.sequenceNumber
            let sequence = packet.bytes.word32(at: sequenceField) &+ UInt32(number * Int(header.gsoSize))
            packet.store(sequence, at: sequenceField)
            var flags = packet.bytes.octet(at: start + TCPHeader.Field.flags)
            if !isLast { flags &= ~(TCPFlags.fin.rawValue | TCPFlags.psh.rawValue) }
            // CWR answers one mark: it belongs to the first segment only (RFC 3168 section 6.1.2).
            if number > 0 { flags &= ~TCPFlags.cwr.rawValue }
            packet.store(flags, at: start + TCPHeader.Field.flags)
        } else {
            checksumField = start + UDPHeader.Field.checksum
            packet.store(UInt16(transportLength), at: start + UDPHeader.Field.length)
        }
        packet.store(0 as UInt16, at: checksumField)
        let pseudo = InternetChecksum.pseudoHeader(
            source: summary.source, destination: summary.destination, protocolNumber: summary.protocolNumber,
            length: transportLength)
        let checksum = InternetChecksum.complete(
            InternetChecksum.sum(packet.bytes.extracting(droppingFirst: start), from: pseudo))
        packet.store(summary.transport == .udp && checksum == 0 ? 0xFFFF : checksum, at: checksumField)
    }
}

extension VirtioNetHeader {
    /// Octets before the payload of a super-packet, read from the packet itself: what the kernel says is only a hint.
    ///
    /// - Throws: `badSuperPacket` where the type is not the packet's, or nothing is left to be cut.
    @inline(always)
    func superPacketHeaderLength(_ packet: RawSpan, _ summary: PacketSummary) throws(DropReason) -> Int {
        let length: Int
        switch (gsoType.kind, summary.transport, summary.isV4) {
        case (.tcp4, .tcp, true), (.tcp6, .tcp, false):
            guard let tcp = try? TCPHeader(parsing: packet.extracting(droppingFirst: summary.transportOffset)) else {
                throw .refused(.badSuperPacket)
            }
            length = summary.transportOffset + tcp.dataOffset
        case (.udpL4, .udp, _): length = summary.transportOffset + UDPHeader.size
        default: throw .refused(.badSuperPacket)
        }
        guard gsoSize > 0, summary.fragment == .none, length < summary.totalLength else {
            throw .refused(.badSuperPacket)
        }
        return length
    }
}

/// Writes super-packets in pieces to a port that does not take them whole.
struct Segmentation: ~Copyable {
    private var room: FrameArena

    init() throws(KernelError) { room = try FrameArena(slots: 1) }

    /// Counts each piece as a packet of its own: forwarded, or dropped where the port refuses even that.
    ///
    /// - Parameter octets: a virtio header and a super-packet.
    /// - Returns: the kind of super-packet it was.
    /// - Throws: `badSuperPacket` where it was none; nothing is written or counted then.
    mutating func write(
        _ octets: RawSpan, to port: CInt, _ errand: Errand, _ statistics: inout Statistics
    ) throws(DropReason) -> VirtioNetHeader.GSOType {
        let packet = octets.extracting(droppingFirst: VirtioNetHeader.size)
        let header: VirtioNetHeader
        let summary: PacketSummary
        do throws(ParseError) {
            header = try VirtioNetHeader(parsing: octets)
            summary = try PacketSummary(parsing: packet)
        } catch {
            throw .malformed(error)
        }
        let segmenter = try Segmenter(packet, header, summary)
        for number in 0..<segmenter.count {
            var piece = room.octets(inSlot: 0, length: FrameArena.capacity)
            let length = segmenter.write(number, of: packet, into: &piece)
            if unsafe Glibc.write(port, room.address(of: 0), length) == length {
                statistics.count(errand, bytes: length - VirtioNetHeader.size, isSuperPacket: false)
            } else {
                statistics.drop(.refused(.writeRefused))
            }
        }
        statistics.superPacketsSplit &+= 1
        return header.gsoType.kind
    }
}
