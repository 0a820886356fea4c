package import PacketParse

/// An address and a port, written `192.0.2.1:51820` or `[2001:db8::1]:51820`.
package struct Endpoint: Hashable, Sendable, LosslessStringConvertible {
    package let address: IPAddress
    package let port: UInt16

    package init(_ address: IPAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Nil for all that is not exactly one of the two forms; a port has digits only.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[colon...].dropFirst()
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
            return nil
        }
        let host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        // Without brackets the last number of an IPv6 address could be meant for the port.
        guard let address = IPAddress(String(isBracketed ? host.dropFirst().dropLast() : host)),
            address.isV4 != isBracketed
        else { return nil }
        self.init(address, port)
    }

    package var description: String { address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
}
