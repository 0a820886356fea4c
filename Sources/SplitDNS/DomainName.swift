/// A name of the DNS as it stands in a message: labels, each behind its length, and the root's empty one at the end
/// (RFC 1035 section 3.1). Letters are kept small, so that equal names are equal.
package struct DomainName: Hashable, Sendable {
    package let octets: [UInt8]

    /// RFC 1035 section 2.3.4.
    static let longest = 255
    static let longestLabel = 63

    /// Reads a name without compression: in a question nothing stands before it that it could point to.
    ///
    /// - Returns: nil for what is no name, or ends beyond the message.
    init?(in message: some RandomAccessCollection<UInt8>) {
        var octets: [UInt8] = []
        var rest = message[...]
        while let length = rest.first, length <= Self.longestLabel, rest.count > length {
            octets.append(length)
            octets += rest.dropFirst().prefix(Int(length)).map(Self.lowercased)
            rest = rest.dropFirst(1 + Int(length))
            guard octets.count <= Self.longest else { return nil }
            if length == 0 {
                self.octets = octets
                return
            }
        }
        return nil
    }

    /// Reads a host's name as people write it: letters, digits, dashes and underscores between dots, at least two labels.
    /// Nil for all else, addresses among it.
    package init?(_ text: String) {
        var labels = text.split(separator: ".", omittingEmptySubsequences: false)
        if labels.last == "" { labels.removeLast() }
        let isName = labels.allSatisfy { label in
            (1...Self.longestLabel).contains(label.utf8.count) && label.utf8.allSatisfy(Self.isOfHostName)
        }
        guard labels.count >= 2, isName, labels.last?.utf8.allSatisfy({ (0x30...0x39).contains($0) }) == false
        else { return nil }
        octets = labels.flatMap { [UInt8($0.utf8.count)] + $0.utf8.map(Self.lowercased) } + [0]
        guard octets.count <= Self.longest else { return nil }
    }

    private init(_ octets: ArraySlice<UInt8>) { self.octets = Array(octets) }

    /// Without its first label; nil for the root.
    package var parent: DomainName? {
        octets[0] == 0 ? nil : DomainName(octets.dropFirst(1 + Int(octets[0])))
    }

    var firstLabel: ArraySlice<UInt8> { octets.dropFirst().prefix(Int(octets[0])) }

    private static func lowercased(_ octet: UInt8) -> UInt8 { (0x41...0x5a).contains(octet) ? octet | 0x20 : octet }

    private static func isOfHostName(_ octet: UInt8) -> Bool {
        switch lowercased(octet) {
        case 0x61...0x7a, 0x30...0x39, 0x2d, 0x5f: true
        default: false
        }
    }
}
