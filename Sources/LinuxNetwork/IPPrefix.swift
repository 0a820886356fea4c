package import PacketParse

/// A network: an address and how many of its leading bits count.
package struct IPPrefix: Hashable, Sendable {
    package let address: IPAddress
    package let length: Int

    /// Nil when the length exceeds the family's, or the address has bits set beyond it (`10.0.0.1/8` names no network).
    package init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bitWidth).contains(length) else { return nil }
        self.address = address
        self.length = length
        guard address.bits & hostBits == 0 else { return nil }
    }

    /// All addresses of a family: where a default route leads.
    package static func everything(_ family: AddressFamily) -> IPPrefix {
        IPPrefix(unchecked: family == .v4 ? IPAddress(v4: 0) : IPAddress(bits: 0), length: 0)
    }

    /// One address alone.
    package init(host address: IPAddress) { self.init(unchecked: address, length: address.family.bitWidth) }

    private init(unchecked address: IPAddress, length: Int) {
        self.address = address
        self.length = length
    }

    package func contains(_ other: IPAddress) -> Bool {
        other.isV4 == address.isV4 && other.bits & ~hostBits == address.bits
    }

    /// An IPv6 network in which IPv4's mapped form lies (::ffff:0:0/96, RFC 4291 section 2.5.5.2).
    package var holdsMappedIPv4: Bool {
        guard !address.isV4, length > 0 else { return !address.isV4 }
        let shift = UInt128(128 - length)
        return address.bits >> shift == UInt128(0xffff_0000_0000) >> shift
    }

    private var hostBits: UInt128 {
        let count = address.family.bitWidth - length
        return count == 128 ? .max : (1 << UInt128(count)) - 1
    }
}

extension IPPrefix: LosslessStringConvertible {
    /// `10.0.0.0/8`, `fd00::/8`, or an address alone for itself.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return nil }
        switch parts.count {
        case 1:
            self.init(host: address)
        case 2:
            // Int would also take "+8" and "08".
            guard let length = Int(parts[1]), String(length) == parts[1] else { return nil }
            self.init(address, length: length)
        default:
            return nil
        }
    }

    package var description: String { "\(address)/\(length)" }
}
