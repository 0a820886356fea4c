import PacketParse
import TestSupport

/// Builds packets, octet by octet, with checksums computed the long way: the tests' own opinion of a right packet.
struct TestPacket {
    /// What a transport checksum field holds.
    enum Checksum { case right, absent, partial }

    var source: [UInt8]
    var destination: [UInt8]
    var protocolNumber: UInt8
    var transport: [UInt8]
    var hopLimit: UInt8 = 64
    var identification: UInt16 = 1
    var typeOfService: UInt8 = 0
    var mayBeFragmented = true
    var checksum = Checksum.right
    /// IPv4 options, a multiple of four octets.
    var options: [UInt8] = []
    /// IPv6 extension headers, in their order; the first octet of each is filled in.
    var extensions: [(number: UInt8, octets: [UInt8])] = []

    static let client4: [UInt8] = [100, 64, 0, 2]
    static let node4: [UInt8] = [100, 127, 255, 254]
    static let remote4: [UInt8] = [203, 0, 113, 10]
    static let exit4: [UInt8] = [10, 64, 0, 2]
    static let router4: [UInt8] = [198, 51, 100, 1]
    static let client6: [UInt8] = [0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    static let node6: [UInt8] = [0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    static let remote6: [UInt8] = [0x20, 0x01, 0x0d, 0xb8, 1, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]
    static let exit6: [UInt8] = [0xfd, 0, 0, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    static let router6: [UInt8] = [0x20, 0x01, 0x0d, 0xb8, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]

    static func ends(isV4: Bool) -> (client: [UInt8], remote: [UInt8], exit: [UInt8]) {
        isV4 ? (client4, remote4, exit4) : (client6, remote6, exit6)
    }

    static func tcp(
        from source: [UInt8], _ sourcePort: UInt16, to destination: [UInt8], _ destinationPort: UInt16,
        flags: UInt8 = 0x10, sequence: UInt32 = 1, payload: [UInt8] = []
    ) -> TestPacket {
        TestPacket(
            source: source, destination: destination, protocolNumber: 6,
            transport: be(sourcePort) + be(destinationPort) + be(sequence)
                + [0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0] + payload)
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

    func with(_ change: (inout TestPacket) -> Void) -> TestPacket {
        var changed = self
        change(&changed)
        return changed
    }

    /// The packet with every checksum as asked for.
    var octets: [UInt8] {
        network(payloadLength: transport.count, fragment: mayBeFragmented ? 0 : 0x4000) + finishedTransport
    }

    private var finishedTransport: [UInt8] {
        guard let field = Self.checksumField(protocolNumber) else { return transport }
        var finished = transport
        let pseudo =
            protocolNumber == 1
            ? [] : source + destination + Self.be(UInt32(transport.count)) + [0, 0, 0, protocolNumber]
        finished.replaceSubrange(field..<field + 2, with: [0, 0])
        var sum: UInt16
        switch checksum {
        case .right: sum = ~naiveSum(pseudo + finished)
        case .absent: return finished
        case .partial: sum = naiveSum(pseudo)
        }
        if protocolNumber == 17, checksum == .right, sum == 0 { sum = 0xffff }
        finished.replaceSubrange(field..<field + 2, with: Self.be(sum))
        return finished
    }

    /// The IP header and whatever stands between it and the transport.
    ///
    /// - Parameter fragment: IPv4's word of flags and offset.
    private func network(payloadLength: Int, fragment: UInt16 = 0) -> [UInt8] {
        guard source.count == 4 else {
            var chain: [UInt8] = []
            for (index, header) in extensions.enumerated() {
                let next = index + 1 < extensions.count ? extensions[index + 1].number : protocolNumber
                chain += [next] + header.octets.dropFirst()
            }
            return [0x60 | typeOfService >> 4, typeOfService << 4, 0, 0] + Self.be(UInt16(chain.count + payloadLength))
                + [extensions.first?.number ?? protocolNumber, hopLimit] + source + destination + chain
        }
        let length = 20 + options.count
        var header: [UInt8] =
            [0x40 | UInt8(length / 4), typeOfService] + Self.be(UInt16(length + payloadLength))
            + Self.be(identification)
            + Self.be(fragment) + [hopLimit, protocolNumber, 0, 0]
        header += source + destination + options
        header.replaceSubrange(10..<12, with: Self.be(~naiveSum(header)))
        return header
    }

    /// The datagram cut into fragments of `size` octets, a multiple of eight.
    func fragments(of size: Int) -> [[UInt8]] {
        let whole = finishedTransport
        return stride(from: 0, to: whole.count, by: size).map { offset in
            let piece = Array(whole[offset..<min(offset + size, whole.count)])
            let more: UInt16 = offset + size < whole.count ? 1 : 0
            guard source.count == 4 else {
                let fragment: [UInt8] = [0, 0] + Self.be(UInt16(offset) | more) + [0, 0] + Self.be(identification)
                return with { $0.extensions.append((44, fragment)) }.network(payloadLength: piece.count) + piece
            }
            return network(payloadLength: piece.count, fragment: UInt16(offset / 8) | more << 13) + piece
        }
    }

    static func checksumField(_ protocolNumber: UInt8) -> Int? {
        switch protocolNumber {
        case 6: 16
        case 17: 6
        case 1, 58: 2
        default: nil
        }
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
