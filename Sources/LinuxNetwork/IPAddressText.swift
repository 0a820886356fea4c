import Glibc
package import PacketParse

/// Addresses as people write them. IPv6 is printed in the canonical form of RFC 5952.
extension IPAddress: LosslessStringConvertible {
    /// Nil for all that is not one address, and for `::ffff:10.0.0.1`: a mapped address is how IPv4 is kept here, and to
    /// write it so would be a second name for the same value.
    package init?(_ text: String) {
        // C would stop reading at a NUL and find the rest of the text in order.
        guard !text.utf8.contains(0) else { return nil }
        var v4 = in_addr()
        if unsafe inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: UInt32(bigEndian: v4.s_addr))
            return
        }
        var v6 = UInt128()
        guard unsafe inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self.init(bits: UInt128(bigEndian: v6))
        if isV4 { return nil }
    }

    package var description: String {
        let octets = octets
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            unsafe inet_ntop(family.rawValue, octets, text.baseAddress, socklen_t(text.count))
                .map { unsafe String(cString: $0) } ?? ""
        }
    }
}

/// The two address families, by the kernel's numbers.
package enum AddressFamily: CaseIterable, Sendable {
    case v4, v6

    var rawValue: CInt { self == .v4 ? AF_INET : AF_INET6 }
    var bitWidth: Int { self == .v4 ? 32 : 128 }
}

extension IPAddress {
    package var family: AddressFamily { isV4 ? .v4 : .v6 }

    /// Four or sixteen octets in network order, as the kernel takes them.
    var octets: [UInt8] {
        let width = family.bitWidth
        return stride(from: width - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: bits >> $0) }
    }

    /// From four or sixteen octets in network order; nil for any other count.
    init?(octets: [UInt8]) {
        let bits = octets.reduce(UInt128()) { $0 << 8 | UInt128($1) }
        switch octets.count {
        case 4: self.init(v4: UInt32(truncatingIfNeeded: bits))
        case 16: self.init(bits: bits)
        default: return nil
        }
    }
}
