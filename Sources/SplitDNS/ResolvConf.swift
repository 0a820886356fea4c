import LinuxNetwork
package import PacketParse

/// The text of `/etc/resolv.conf` (resolv.conf(5)): somebody's, or ours, which holds somebody's in comments. So whoever
/// finds ours knows what to give back, though its node be dead and no other file tell.
package struct ResolvConf: Equatable, Sendable {
    /// What we found and give back, to the octet.
    package let original: [UInt8]
    /// Whether the text is ours, whole and alone.
    package let isOurs: Bool

    private static let begin = "# forwarder begin: `forwarder down` gives back what stands behind #|"
    private static let end = "# forwarder end"
    /// Where the original's last line has no end, it is to be given back without one.
    private static let endWithoutLineFeed = "# forwarder end, without a last line feed"
    private static let kept = Array("#|".utf8)
    private static let lineFeed = UInt8(ascii: "\n")

    /// - Parameter text: what is in the file.
    package init(_ text: [UInt8]) {
        let lines = text.split(separator: Self.lineFeed, omittingEmptySubsequences: false)
        guard let first = lines.firstIndex(where: { $0.elementsEqual(Self.begin.utf8) }),
            let last = lines[first...].firstIndex(where: Self.isEnd)
        else {
            original = text
            isOurs = false
            return
        }
        let outside = lines[..<first] + lines[(last + 1)...]
        guard !outside.contains(where: Self.isDirective) else {
            // Somebody has written around ours: what they wrote is the new content.
            original = Array(outside.joined(separator: [Self.lineFeed]))
            isOurs = false
            return
        }
        let lineEnd = lines[last].elementsEqual(Self.end.utf8) ? [Self.lineFeed] : []
        let held = lines[first..<last].filter { $0.starts(with: Self.kept) }.map { $0.dropFirst(Self.kept.count) }
        original = held.isEmpty ? [] : Array(held.joined(separator: [Self.lineFeed])) + lineEnd
        isOurs = outside.allSatisfy(\.isEmpty)
    }

    private static func isEnd(_ line: ArraySlice<UInt8>) -> Bool {
        line.elementsEqual(end.utf8) || line.elementsEqual(endWithoutLineFeed.utf8)
    }

    private static func isDirective(_ line: ArraySlice<UInt8>) -> Bool {
        let text = line.drop { $0 == 0x20 || $0 == 0x09 }
        return text.first.map { $0 != UInt8(ascii: "#") && $0 != UInt8(ascii: ";") } ?? false
    }

    /// The same, asking a resolver of ours. Options stay; search lists do not: with the tailnet's, every short name would
    /// tell the VPN's resolver whose node this is.
    package func asking(_ resolver: IPAddress) -> [UInt8] {
        let endsInLineFeed = original.last == Self.lineFeed
        var lines = original.split(separator: Self.lineFeed, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        let options = lines.filter { Self.words($0).first == "options" }.map { Array($0) }
        let text: [[UInt8]] =
            [Array(Self.begin.utf8), Array("nameserver \(resolver)".utf8)] + options
            + lines.map { Self.kept + $0 }
            + [Array((original.isEmpty || endsInLineFeed ? Self.end : Self.endWithoutLineFeed).utf8), []]
        return Array(text.joined(separator: [Self.lineFeed]))
    }

    /// The first resolver of the original that can be on the VPN's side: neither loopback nor Tailscale's service address.
    package var resolver: IPAddress? {
        original.split(separator: Self.lineFeed).lazy
            .map(Self.words).filter { $0.count > 1 && $0[0] == "nameserver" }
            .compactMap { IPAddress($0[1]) }
            .first { $0.isForwardable && !IPAddress.tailscaleServices.contains($0) }
    }

    /// Whether whoever reads the text asks this resolver and nobody else.
    package func asksOnly(_ resolver: IPAddress) -> Bool {
        let named = original.split(separator: Self.lineFeed).map(Self.words).filter { $0.first == "nameserver" }
        return !named.isEmpty && named.allSatisfy { $0.count > 1 && IPAddress($0[1]) == resolver }
    }

    private static func words(_ line: ArraySlice<UInt8>) -> [String] {
        line.split { $0 == 0x20 || $0 == 0x09 }.map { String(decoding: $0, as: UTF8.self) }
    }
}
