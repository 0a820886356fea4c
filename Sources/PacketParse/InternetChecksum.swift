/// The Internet checksum (RFC 1071): one's complement sums of 16-bit words.
public enum InternetChecksum {
    /// Adds the words of `bytes` to the partial sum `start`; an odd last octet counts as if a zero followed.
    ///
    /// Partial sums of pieces may be chained as long as every piece but the last has an even length.
    public static func sum(_ bytes: RawSpan, from start: UInt64 = 0) -> UInt64 {
        // One's complement addition does not care about the order of octets (RFC 1071 section 2 B): sum wide words as
        // this machine loads them and turn the folded result, once.
        var words: UInt64 = 0
        var offset = 0
        while offset &+ 8 <= bytes.byteCount {
            words = adding(words, bytes.native(UInt64.self, at: offset))
            offset &+= 8
        }
        if offset &+ 4 <= bytes.byteCount {
            words = adding(words, UInt64(bytes.native(UInt32.self, at: offset)))
            offset &+= 4
        }
        if offset &+ 2 <= bytes.byteCount {
            words = adding(words, UInt64(bytes.native(UInt16.self, at: offset)))
            offset &+= 2
        }
        if offset < bytes.byteCount {
            words = adding(words, UInt64(UInt16(littleEndian: UInt16(bytes.octet(at: offset)))))
        }
        return adding(start, UInt64(UInt16(bigEndian: fold(words))))
    }

    /// The pseudo-header's part of a TCP, UDP or ICMPv6 sum (RFC 9293 section 3.1, RFC 8200 section 8.1).
    ///
    /// The mapped prefix of IPv4 addresses is worth nothing in one's complement, so both families are the same sum.
    public static func pseudoHeader(
        source: IPAddress, destination: IPAddress, protocolNumber: UInt8, length: Int
    ) -> UInt64 {
        UInt64(fold(source)) &+ UInt64(fold(destination)) &+ UInt64(protocolNumber)
            &+ UInt64(truncatingIfNeeded: length & 0xffff) &+ UInt64(truncatingIfNeeded: length >> 16 & 0xffff)
    }

    /// A partial sum brought down to sixteen bits. It is zero only if every word was.
    @inlinable @inline(__always)
    public static func fold(_ sum: UInt64) -> UInt16 {
        var rest = (sum >> 32) &+ (sum & 0xffff_ffff)
        rest = (rest >> 16) &+ (rest & 0xffff)
        rest = (rest >> 16) &+ (rest & 0xffff)
        rest = (rest >> 16) &+ (rest & 0xffff)
        return UInt16(truncatingIfNeeded: rest)
    }

    /// The sum of an address's eight words.
    @inlinable @inline(__always)
    static func fold(_ address: IPAddress) -> UInt16 {
        fold(adding(UInt64(truncatingIfNeeded: address.bits >> 64), UInt64(truncatingIfNeeded: address.bits)))
    }

    /// What a checksum field holds for a partial sum over everything else.
    public static func complete(_ sum: UInt64) -> UInt16 { ~fold(sum) }

    @inlinable @inline(__always)
    static func adding(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, carry) = left.addingReportingOverflow(right)
        return carry ? sum &+ 1 : sum
    }
}
