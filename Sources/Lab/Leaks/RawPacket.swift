internal import Glibc

/// An IP packet with all its headers, for what no socket would send: fragments out of order, hop limits of one, the
/// addresses of others, one SYN that nothing follows.
package struct RawPacket: Sendable {
    private let source, destination: [UInt8]
    private let transport: UInt8
    private let segment: [UInt8]
    private let identification: UInt16
    private let hopLimit: UInt8

    /// A UDP datagram.
    package init(
        from source: String, _ sourcePort: UInt16, to destination: String, _ destinationPort: UInt16,
        _ payload: [UInt8], identification: UInt16 = 1, hopLimit: UInt8 = 64
    ) {
        let head = be(sourcePort) + be(destinationPort) + be(UInt16(8 + payload.count)) + [0, 0]
        self.init(
            source, destination, UInt8(IPPROTO_UDP), head + payload, checksumAt: 6, identification: identification,
            hopLimit: hopLimit)
    }

    /// A TCP segment that asks for a connection.
    package static func syn(
        from source: String, _ sourcePort: UInt16, to destination: String, _ destinationPort: UInt16, sequence: UInt32
    ) -> RawPacket {
        let head = be(sourcePort) + be(destinationPort) + be(UInt16(sequence >> 16)) + be(UInt16(sequence & 0xffff))
        // Five words of header, the flag, a window.
        return RawPacket(
            source, destination, UInt8(IPPROTO_TCP), head + [0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0],
            checksumAt: 16)
    }

    /// An echo request.
    package static func echo(
        from source: String, to destination: String, identifier: UInt16, _ payload: [UInt8]
    ) -> RawPacket {
        let isV4 = !source.contains(":")
        return RawPacket(
            source, destination, UInt8(isV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6),
            [isV4 ? 8 : 128, 0, 0, 0] + be(identifier) + [0, 1] + payload, checksumAt: 2)
    }

    /// What makes its sender a router for half an hour, preferred to others (RFC 4861 section 4.2, RFC 4191).
    package static func routerAdvertisement(from router: String, to host: String) -> RawPacket {
        RawPacket(
            router, host, UInt8(IPPROTO_ICMPV6), [134, 0, 0, 0, 64, 0x08] + be(1800) + [0, 0, 0, 0, 0, 0, 0, 0],
            checksumAt: 2, hopLimit: 255)
    }

    /// - Parameter place: where the segment has its checksum.
    private init(
        _ source: String, _ destination: String, _ transport: UInt8, _ segment: [UInt8], checksumAt place: Int,
        identification: UInt16 = 1, hopLimit: UInt8 = 64
    ) {
        self.source = octetsOf(source)
        self.destination = octetsOf(destination)
        self.transport = transport
        self.identification = identification
        self.hopLimit = hopLimit
        // ICMP alone has no pseudo-header.
        let pseudo =
            transport == UInt8(IPPROTO_ICMP)
            ? [] : self.source + self.destination + be(UInt16(segment.count)) + [0, transport]
        let sum = checksum(pseudo + segment)
        var segment = segment
        segment.replaceSubrange(place..<place + 2, with: be(sum == 0 ? 0xffff : sum))
        self.segment = segment
    }

    package var octets: [UInt8] { packet(segment, place: 0, isWhole: true) }

    /// - Parameter size: octets of data in each, a multiple of eight.
    package func fragments(of size: Int) -> [[UInt8]] {
        stride(from: 0, to: segment.count, by: size).map { start in
            let end = min(start + size, segment.count)
            let more: UInt16 = end < segment.count ? 1 : 0
            return packet(Array(segment[start..<end]), place: UInt16(start) | more, isWhole: false)
        }
    }

    /// - Parameter place: as in IPv6's fragment header.
    private func packet(_ data: [UInt8], place: UInt16, isWhole: Bool) -> [UInt8] {
        guard source.count == 4 else {
            let fragment = isWhole ? [] : [transport, 0] + be(place) + [0, 0] + be(identification)
            return [0x60, 0, 0, 0] + be(UInt16(fragment.count + data.count)) + [isWhole ? transport : 44, hopLimit]
                + source + destination + fragment + data
        }
        var header: [UInt8] =
            [0x45, 0] + be(UInt16(20 + data.count)) + be(identification) + be(place >> 3 | (place & 1) << 13)
        header += [hopLimit, transport, 0, 0] + source + destination
        header.replaceSubrange(10..<12, with: be(checksum(header)))
        return header + data
    }
}

private func octetsOf(_ address: String) -> [UInt8] {
    var octets = [UInt8](repeating: 0, count: 16)
    if unsafe inet_pton(AF_INET, address, &octets) == 1 { return Array(octets.prefix(4)) }
    _ = unsafe inet_pton(AF_INET6, address, &octets)
    return octets
}

private func be(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xff)] }

/// RFC 1071.
private func checksum(_ octets: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for (index, octet) in octets.enumerated() { sum += index.isMultiple(of: 2) ? UInt32(octet) << 8 : UInt32(octet) }
    while sum >> 16 != 0 { sum = sum >> 16 + sum & 0xffff }
    return ~UInt16(sum)
}
