import Glibc

/// A UDP datagram with all its headers, for what no socket would send: fragments out of order, hop limits of one, the
/// addresses of others.
struct RawDatagram {
    private let source, destination: [UInt8]
    private let segment: [UInt8]
    private let identification: UInt16
    private let hopLimit: UInt8

    init(
        from source: String, _ sourcePort: UInt16, to destination: String, _ destinationPort: UInt16,
        _ payload: [UInt8],
        identification: UInt16 = 1, hopLimit: UInt8 = 64
    ) {
        self.source = Self.octets(of: source)
        self.destination = Self.octets(of: destination)
        self.identification = identification
        self.hopLimit = hopLimit
        let length = Self.be(UInt16(8 + payload.count))
        let head = Self.be(sourcePort) + Self.be(destinationPort) + length
        let pseudo = self.source + self.destination + length + [0, 17]
        let checksum = Self.checksum(pseudo + head + [0, 0] + payload)
        segment = head + Self.be(checksum == 0 ? 0xffff : checksum) + payload
    }

    var octets: [UInt8] { packet(segment, place: 0, isWhole: true) }

    /// - Parameter size: octets of data in each, a multiple of eight.
    func fragments(of size: Int) -> [[UInt8]] {
        stride(from: 0, to: segment.count, by: size).map { start in
            let end = min(start + size, segment.count)
            let more: UInt16 = end < segment.count ? 1 : 0
            return packet(Array(segment[start..<end]), place: UInt16(start) | more, isWhole: false)
        }
    }

    /// - Parameter place: as in IPv6's fragment header.
    private func packet(_ data: [UInt8], place: UInt16, isWhole: Bool) -> [UInt8] {
        guard source.count == 4 else {
            let fragment = isWhole ? [] : [17, 0] + Self.be(place) + [0, 0] + Self.be(identification)
            return [0x60, 0, 0, 0] + Self.be(UInt16(fragment.count + data.count)) + [isWhole ? 17 : 44, hopLimit]
                + source + destination + fragment + data
        }
        var header: [UInt8] =
            [0x45, 0] + Self.be(UInt16(20 + data.count)) + Self.be(identification)
            + Self.be(place >> 3 | (place & 1) << 13)
        header += [hopLimit, 17, 0, 0] + source + destination
        header.replaceSubrange(10..<12, with: Self.be(Self.checksum(header)))
        return header + data
    }

    private static func octets(of address: String) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: 16)
        if unsafe inet_pton(AF_INET, address, &octets) == 1 { return Array(octets.prefix(4)) }
        _ = unsafe inet_pton(AF_INET6, address, &octets)
        return octets
    }

    private static func be(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xff)] }

    /// RFC 1071.
    private static func checksum(_ octets: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (index, octet) in octets.enumerated() {
            sum += index.isMultiple(of: 2) ? UInt32(octet) << 8 : UInt32(octet)
        }
        while sum >> 16 != 0 { sum = sum >> 16 + sum & 0xffff }
        return ~UInt16(sum)
    }
}
