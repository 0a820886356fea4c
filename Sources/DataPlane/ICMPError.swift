import PacketParse

/// What a sender is told when its packet goes no further (RFC 1812 section 4.3.2, RFC 4443).
///
/// An error is built in the frame of the packet that it is about, and leaves by the side that the packet came from.
package enum ICMPError: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    /// The hop limit ended here.
    case timeExceeded
    /// There is no way out for this family.
    case noRoute
    /// There is a way, and nothing left to borrow on it (RFC 6888 REQ-8, RFC 6146 section 3.5.1.1).
    case hostUnreachable
    /// The next hop takes less (RFC 1191, RFC 8201).
    case packetTooBig
    /// There is a way, and it is shut (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).
    case administrativelyProhibited

    /// The name that statistics and scripts see. Never renamed.
    package var name: StaticString {
        switch self {
        case .timeExceeded: "time_exceeded"
        case .noRoute: "no_route"
        case .hostUnreachable: "host_unreachable"
        case .packetTooBig: "packet_too_big"
        case .administrativelyProhibited: "administratively_prohibited"
        }
    }

    /// Type and code, as one word.
    private func typeAndCode(isV4: Bool) -> UInt16 {
        switch self {
        case .timeExceeded: isV4 ? 0x0b00 : 0x0300
        case .noRoute: isV4 ? 0x0300 : 0x0100
        case .hostUnreachable: isV4 ? 0x0301 : 0x0103
        case .packetTooBig: isV4 ? 0x0304 : 0x0200
        case .administrativelyProhibited: isV4 ? 0x030d : 0x0101
        }
    }

    // MARK: What may be answered

    /// Whether a packet may be answered by an error at all: not one that is an error itself, has no beginning, or was not
    /// sent by one host to one host (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)).
    static func mayAnswer(_ packet: PacketSummary) -> Bool {
        packet.fragment != .later && !packet.isICMPError && !packet.isRedirect && packet.source.isForwardable
            && packet.destination.isForwardable
    }

    // MARK: Building one

    /// Octets of IP and ICMP header before the quote.
    private static func headers(isV4: Bool) -> Int { (isV4 ? 20 : IPv6Header.size) + ICMPHeader.size }

    /// How long an error is, its IP header included, about a packet that was `wireLength` octets long: it quotes as much as
    /// fits 576 octets of IPv4 (RFC 1812 section 4.3.2.3) or IPv6's least MTU (RFC 4443 section 2.4 (c)).
    static func length(about wireLength: Int, isV4: Bool) -> Int {
        min(headers(isV4: isV4) + wireLength, isV4 ? 576 : 1280)
    }

    /// Turns a packet into an error about it.
    ///
    /// - Parameters:
    ///   - message: the virtio header and the packet, as its sender sent it; with room for the error.
    ///   - wireLength: of the packet, or of a super-packet's first segment, which then is what is quoted. A checksum that
    ///     the kernel was to complete is quoted as it is, incomplete: nobody may rely on a quote's.
    ///   - source: the address of ours that the sender knows.
    ///   - mtu: of the next hop; told where the packet was too big.
    func build(
        in message: inout MutableRawSpan, about packet: PacketSummary, wireLength: Int, from source: IPAddress, mtu: Int
    ) {
        let lead = VirtioNetHeader.size
        let headers = Self.headers(isV4: packet.isV4)
        let length = Self.length(about: wireLength, isV4: packet.isV4)
        if wireLength < packet.totalLength { Self.shorten(&message, packet, to: wireLength) }
        let typeOfService = message.bytes.octet(at: lead + IPv4Header.Field.typeOfService)
        // From the end, because both places overlap.
        var offset = lead + length - headers
        while offset > lead {
            offset -= 1
            message.store(message.bytes.octet(at: offset), at: offset + headers)
        }
        VirtioNetHeader().write(into: &message)
        var error = message._mutatingExtracting(lead..<lead + length)
        if packet.isV4 {
            Self.writeV4(&error, typeOfService, from: source, to: packet.source)
        } else {
            Self.writeV6(&error, from: source, to: packet.source)
        }
        writeICMP(&error, at: headers - ICMPHeader.size, from: source, to: packet.source, mtu: mtu)
    }

    /// Makes a super-packet's headers those of its first segment.
    private static func shorten(_ message: inout MutableRawSpan, _ packet: PacketSummary, to wireLength: Int) {
        var headers = message._mutatingExtracting(VirtioNetHeader.size...)
        if packet.isV4 {
            var delta = ChecksumDelta()
            delta.replace(UInt16(packet.totalLength), with: UInt16(wireLength))
            headers.store(UInt16(wireLength), at: IPv4Header.Field.totalLength)
            let field = IPv4Header.Field.headerChecksum
            headers.store(delta.applied(toComplete: headers.bytes.word16(at: field)), at: field)
        } else {
            headers.store(UInt16(wireLength - IPv6Header.size), at: IPv6Header.Field.payloadLength)
        }
        if packet.transport == .udp {
            let field = packet.transportOffset + UDPHeader.Field.length
            headers.store(UInt16(wireLength - packet.transportOffset), at: field)
        }
    }

    /// Precedence 6, and the rest of the sender's type of service (RFC 1812 section 4.3.2.5), as the kernel does. It is never
    /// fragmented, so its identification means nothing (RFC 6864).
    private static func writeV4(
        _ error: inout MutableRawSpan, _ typeOfService: UInt8, from source: IPAddress, to destination: IPAddress
    ) {
        error.store(0x45 as UInt8, at: 0)
        error.store(typeOfService & 0x1c | 0xc0, at: IPv4Header.Field.typeOfService)
        error.store(UInt16(error.byteCount), at: IPv4Header.Field.totalLength)
        error.store(0x0000_4000 as UInt32, at: 4)
        error.store(hopLimit, at: IPv4Header.Field.timeToLive)
        error.store(ProtocolNumber.icmp, at: 9)
        error.store(0 as UInt16, at: IPv4Header.Field.headerChecksum)
        error.store(source, at: IPv4Header.Field.source)
        error.store(destination, at: IPv4Header.Field.destination)
        let checksum = InternetChecksum.complete(InternetChecksum.sum(error.bytes.extracting(first: 20)))
        error.store(checksum, at: IPv4Header.Field.headerChecksum)
    }

    private static func writeV6(_ error: inout MutableRawSpan, from source: IPAddress, to destination: IPAddress) {
        error.store(0x6000_0000 as UInt32, at: 0)
        error.store(UInt16(error.byteCount - IPv6Header.size), at: IPv6Header.Field.payloadLength)
        error.store(ProtocolNumber.icmpv6, at: 6)
        error.store(hopLimit, at: IPv6Header.Field.hopLimit)
        error.store(source, at: IPv6Header.Field.source)
        error.store(destination, at: IPv6Header.Field.destination)
    }

    private static let hopLimit: UInt8 = 64

    private func writeICMP(
        _ error: inout MutableRawSpan, at start: Int, from source: IPAddress, to destination: IPAddress, mtu: Int
    ) {
        error.store(typeAndCode(isV4: source.isV4), at: start)
        error.store(0 as UInt16, at: start + ICMPHeader.Field.checksum)
        error.store(0 as UInt32, at: start + 4)
        var sum: UInt64 = 0
        if source.isV4 {
            if self == .packetTooBig {
                error.store(UInt16(clamping: mtu), at: start + ICMPHeader.Field.nextHopMTU)
            }
        } else {
            if self == .packetTooBig { error.store(UInt32(clamping: mtu), at: start + ICMPHeader.Field.mtu) }
            sum = InternetChecksum.pseudoHeader(
                source: source, destination: destination, protocolNumber: ProtocolNumber.icmpv6,
                length: error.byteCount - start)
        }
        let checksum = InternetChecksum.complete(
            InternetChecksum.sum(error.bytes.extracting(droppingFirst: start), from: sum))
        error.store(checksum, at: start + ICMPHeader.Field.checksum)
    }
}
