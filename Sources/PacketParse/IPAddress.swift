/// An IPv4 or IPv6 address in sixteen bytes. IPv4 is kept in mapped form (::ffff:a.b.c.d).
package struct IPAddress: Hashable, Sendable, BitwiseCopyable {
    package let bits: UInt128

    package init(bits: UInt128) { self.bits = bits }
    package init(v4: UInt32) { bits = 0xffff_0000_0000 | UInt128(v4) }

    package var isV4: Bool { bits >> 32 == 0xffff }
    package var v4: UInt32 { UInt32(truncatingIfNeeded: bits) }
}
