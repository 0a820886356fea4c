import PacketParse

/// Builds packets, octet by octet, with checksums computed the long way: the tests' own opinion of a right packet.
struct TestPacket {
    var source: [UInt8]
    var destination: [UInt8]
    var protocolNumber: UInt8
    var transport: [UInt8]
    var hopLimit: UInt8 = 64

    static let client4: [UInt8] = [100, 64, 0, 2]
    static let remote4: [UInt8] = [203, 0, 113, 10]
    static let exit4: [UInt8] = [10, 64, 0, 2]
    static let client6: [UInt8] = [0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    static let remote6: [UInt8] = [0x20, 0x01, 0x0d, 0xb8, 1, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]
    static let exit6: [UInt8] = [0xfd, 0, 0, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]

    static func tcp(
        from source: [UInt8], _ sourcePort: UInt16, to destination: [UInt8], _ destinationPort: UInt16,
        flags: UInt8 = 0x10, payload: [UInt8] = []
    ) -> TestPacket {
        TestPacket(
            source: source, destination: destination, protocolNumber: 6,
            transport: be(sourcePort) + be(destinationPort) + [0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]
                + payload)
    }

    static func udp(
        from source: [UInt8], _ sourcePort: UInt16, to destination: [UInt8], _ destinationPort: UInt16,
        payload: [UInt8] = []
    ) -> TestPacket {
        TestPacket(
            source: source, destination: destination, protocolNumber: 17,
            transport: be(sourcePort) + be(destinationPort) + be(UInt16(8 + payload.count)) + [0, 0] + payload)
    }

    /// An echo request or reply.
    static func echo(
        from source: [UInt8], to destination: [UInt8], identifier: UInt16, isReply: Bool = false, payload: [UInt8] = []
    ) -> TestPacket {
        let isV4 = source.count == 4
        let type: UInt8 = isV4 ? (isReply ? 0 : 8) : (isReply ? 129 : 128)
        return TestPacket(
            source: source, destination: destination, protocolNumber: isV4 ? 1 : 58,
            transport: [type, 0, 0, 0] + be(identifier) + [0, 7] + payload)
    }

    /// An ICMP error (destination unreachable, or its ICMPv6 namesake) that quotes a packet.
    static func unreachable(from source: [UInt8], to destination: [UInt8], quoting packet: [UInt8]) -> TestPacket {
        let isV4 = source.count == 4
        return TestPacket(
            source: source, destination: destination, protocolNumber: isV4 ? 1 : 58,
            transport: [isV4 ? 3 : 1, isV4 ? 3 : 4, 0, 0, 0, 0, 0, 0] + packet)
    }

    /// The packet with every checksum right.
    var octets: [UInt8] {
        var transport = transport
        let length = transport.count
        if let field = Self.checksumField(protocolNumber) {
            transport[field] = 0
            transport[field + 1] = 0
            let pseudo =
                protocolNumber == 1
                ? [] : source + destination + Self.be(UInt32(length)) + [0, 0, 0, protocolNumber]
            var sum = Self.checksum(pseudo + transport)
            if protocolNumber == 17, sum == 0 { sum = 0xffff }
            transport[field] = UInt8(sum >> 8)
            transport[field + 1] = UInt8(sum & 0xff)
        }
        return header(payloadLength: length) + transport
    }

    private func header(payloadLength: Int) -> [UInt8] {
        guard source.count == 4 else {
            return [0x60, 0, 0, 0] + Self.be(UInt16(payloadLength)) + [protocolNumber, hopLimit] + source + destination
        }
        var header: [UInt8] =
            [0x45, 0] + Self.be(UInt16(20 + payloadLength)) + [0, 1, 0, 0, hopLimit, protocolNumber, 0, 0]
        header += source + destination
        let sum = Self.checksum(header)
        header[10] = UInt8(sum >> 8)
        header[11] = UInt8(sum & 0xff)
        return header
    }

    static func checksumField(_ protocolNumber: UInt8) -> Int? {
        switch protocolNumber {
        case 6: 16
        case 17: 6
        case 1, 58: 2
        default: nil
        }
    }

    /// RFC 1071, the slowest way.
    static func checksum(_ octets: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: octets.count, by: 2) {
            sum += UInt32(octets[index]) << 8 + (index + 1 < octets.count ? UInt32(octets[index + 1]) : 0)
            if sum > 0xffff { sum = sum & 0xffff + 1 }
        }
        return ~UInt16(sum)
    }

    static func be(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xff)] }
    static func be(_ number: UInt32) -> [UInt8] { be(UInt16(number >> 16)) + be(UInt16(number & 0xffff)) }

    /// Ten octets that ask for nothing.
    static let plainHeader = [UInt8](repeating: 0, count: 10)
}

extension IPAddress {
    init(_ octets: [UInt8]) {
        if octets.count == 4 {
            self.init(v4: octets.reduce(0) { $0 << 8 | UInt32($1) })
        } else {
            self.init(bits: octets.reduce(0) { $0 << 8 | UInt128($1) })
        }
    }
}
