import PacketParse

extension MutableRawSpan {
    /// Marks an IP packet "congestion experienced" (RFC 3168 section 5), if its sender said that it understands.
    ///
    /// Asks for the IP version by itself: what waits in a queue is octets, and no summary.
    ///
    /// - Returns: whether it carries the mark.
    @_lifetime(self: copy self)
    mutating func markCongestion() -> Bool {
        let word = bytes.word16(at: 0)
        let isV4 = word >> 12 == 4
        // IPv4's second octet ends with the two bits; IPv6's traffic class begins four bits earlier.
        let experienced: UInt16 = isV4 ? 0x0003 : 0x0030
        guard word & experienced != 0 else { return false }
        let marked = word | experienced
        store(marked, at: 0)
        guard isV4 else { return true }
        var delta = ChecksumDelta()
        delta.replace(word, with: marked)
        let field = IPv4Header.Field.headerChecksum
        store(delta.applied(toComplete: bytes.word16(at: field)), at: field)
        return true
    }
}
