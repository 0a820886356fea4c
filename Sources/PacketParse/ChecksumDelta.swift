/// What rewriting some words of a packet does to a checksum that covers them (RFC 1624, equation 3).
///
/// Collected once per flow, applied to every packet of it: `inverse` serves the other direction. Words are the values
/// that the octets spell in network order.
public struct ChecksumDelta: Sendable, BitwiseCopyable {
    /// The one's complement sum of every new word and of every old word's complement.
    public var raw: UInt16

    @inlinable @inline(__always)
    public init() { raw = 0 }

    @inlinable @inline(__always)
    public mutating func replace(_ old: UInt16, with new: UInt16) {
        raw = InternetChecksum.fold(UInt64(raw) &+ UInt64(~old) &+ UInt64(new))
    }

    /// IPv4 needs no case of its own: the mapped prefixes of old and new cancel out.
    @inlinable @inline(__always)
    public mutating func replace(_ old: IPAddress, with new: IPAddress) {
        replace(InternetChecksum.fold(old), with: InternetChecksum.fold(new))
    }

    /// The delta of the way back, from the new words to the old.
    @inlinable @inline(__always)
    public var inverse: ChecksumDelta {
        var back = self
        back.raw = ~raw
        return back
    }

    /// Brings a complete checksum field up to date.
    ///
    /// The same as computing it anew, unless all that it covers became zero. Only an ICMPv4 echo reply can be that,
    /// with identifier, sequence and data of nothing but zeros.
    @inlinable @inline(__always)
    public func applied(toComplete checksum: UInt16) -> UInt16 {
        ~InternetChecksum.fold(UInt64(~checksum) &+ UInt64(raw))
    }

    /// Brings a field that holds the pseudo-header's sum, not complemented, up to date.
    ///
    /// That is what virtio's `needsChecksum` leaves in a packet. Whoever completes the sum will see the ports himself:
    /// such a delta must hold the addresses and nothing else.
    @inlinable @inline(__always)
    public func applied(toPartial sum: UInt16) -> UInt16 {
        InternetChecksum.fold(UInt64(sum) &+ UInt64(raw))
    }

    /// Brings a complete UDP checksum up to date: zero means that there is none and stays, a computed zero becomes
    /// 0xffff (RFC 768).
    @inlinable @inline(__always)
    public func applied(toUDP checksum: UInt16) -> UInt16 {
        guard checksum != 0 else { return 0 }
        let updated = applied(toComplete: checksum)
        return updated == 0 ? 0xffff : updated
    }
}
