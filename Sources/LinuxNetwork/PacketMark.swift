/// What a packet must bear for a rule or a firewall to know it: a value in some bits of its mark (SO_MARK, fwmark).
package struct PacketMark: Hashable, Sendable, CustomStringConvertible {
    package let value: UInt32
    /// The bits that are asked.
    package let mask: UInt32

    package init(_ value: UInt32, mask: UInt32 = .max) {
        self.value = value
        self.mask = mask
    }

    /// As ip-rule(8) and iptables take it.
    package var description: String {
        let words = [value, mask].map { "0x" + String($0, radix: 16) }
        return mask == .max ? words[0] : words.joined(separator: "/")
    }
}
