/// An IPv4 or IPv6 address in sixteen octets.
///
/// IPv4 is kept in mapped form (::ffff:a.b.c.d), so a flow table or a filter needs no second copy for the second
/// family. The parser refuses IPv6 packets that carry mapped addresses, hence the two can never be confused.
public struct IPAddress: Hashable, Sendable, BitwiseCopyable {
    /// The sixteen octets in network order, as a number.
    public let bits: UInt128

    @inline(__always)
    public init(bits: UInt128) { self.bits = bits }

    @inline(__always)
    public init(v4: UInt32) { bits = 0xffff_0000_0000 | UInt128(v4) }

    @inline(__always)
    public static func == (left: IPAddress, right: IPAddress) -> Bool { left.bits == right.bits }

    @inline(__always)
    public var isV4: Bool { bits >> 32 == 0xffff }

    /// The four octets of an IPv4 address as a number; meaningless for IPv6.
    @inline(__always)
    public var v4: UInt32 { UInt32(truncatingIfNeeded: bits) }
}

/// What an address is for, as far as a router must know (RFC 6890, RFC 4291 section 2.4).
extension IPAddress {
    /// `::`, the address of nobody in particular.
    public static var unspecified: IPAddress { IPAddress(bits: 0) }

    /// `::` or 0.0.0.0.
    public var isUnspecified: Bool { bits == 0 || (isV4 && v4 == 0) }

    /// `::1` or 127.0.0.0/8.
    public var isLoopback: Bool { bits == 1 || (isV4 && v4 >> 24 == 127) }

    /// ff00::/8 or 224.0.0.0/4.
    public var isMulticast: Bool { bits >> 120 == 0xff || (isV4 && v4 >> 28 == 0xe) }

    /// fe80::/10 or 169.254.0.0/16.
    public var isLinkLocal: Bool { bits >> 118 == 0x3fa || (isV4 && v4 >> 16 == 0xa9fe) }

    /// 0.0.0.0/8 and 240.0.0.0/4, limited broadcast among them (RFC 1112 section 4, RFC 6890).
    public var isReserved: Bool { isV4 && (v4 >> 24 == 0 || v4 >> 28 == 0xf) }

    /// Whether a router may forward a packet from or to this address (RFC 1812 section 5.3.7, RFC 4291 section 2.5.6).
    /// Private addresses are among them: resolvers of VPNs have such.
    public var isForwardable: Bool { !(isUnspecified || isLoopback || isLinkLocal || isMulticast || isReserved) }
}
