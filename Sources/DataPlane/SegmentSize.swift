import PacketParse

extension PacketSummary {
    /// Whether this is the packet in which an end of a TCP conversation says how long segments may be.
    @inline(always) var announcesSegmentSize: Bool { transport == .tcp && tcpFlags.contains(.syn) }
}

extension MutableRawSpan {
    /// Lowers the maximum segment size that a SYN announces, where it is more than a link takes.
    ///
    /// The ends then never send what would have to be refused: path-MTU discovery costs a round trip, and fails where
    /// somebody filters ICMP. A checksum that is still partial covers the pseudo-header only and stays.
    ///
    /// - Parameter mtu: of the link, from which the IP and TCP headers without options are taken off (RFC 6691).
    @_lifetime(self: copy self)
    mutating func clampSegmentSize(_ summary: PacketSummary, mtu: Int, checksum: PendingChecksum) {
        let most = UInt16(clamping: mtu - (summary.isV4 ? 20 : IPv6Header.size) - TCPHeader.size)
        let start = summary.transportOffset
        guard let option = bytes.extracting(start..<summary.totalLength).segmentSize, option.value > most else {
            return
        }
        store(most, at: start + option.offset)
        guard checksum == .complete else { return }
        var delta = ChecksumDelta()
        // An option may begin anywhere: its octets then stand in the halves of two words.
        let isAligned = option.offset.isMultiple(of: 2)
        delta.replace(isAligned ? option.value : option.value.byteSwapped, with: isAligned ? most : most.byteSwapped)
        let field = start + TCPHeader.Field.checksum
        store(delta.applied(toComplete: bytes.word16(at: field)), at: field)
    }
}

extension RawSpan {
    /// The option of a TCP header that begins here.
    fileprivate var segmentSize: TCPHeader.MaximumSegmentSize? { (try? TCPHeader(parsing: self))?.maximumSegmentSize }
}
