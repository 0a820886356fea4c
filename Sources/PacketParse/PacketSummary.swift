/// The meaning of one packet, decoded once. Everything after the parser reads this and not the octets.
///
/// The parser never looks past the transport header, except that a TCP option or an ICMP quote is one on request.
package struct PacketSummary: Equatable, Sendable, BitwiseCopyable {
    /// A packet's place in a fragmented datagram.
    package enum Fragment: UInt8, Sendable, BitwiseCopyable {
        /// A datagram of its own. An IPv6 atomic fragment is one too (RFC 6946).
        case none
        /// The one with the transport header.
        case first
        /// One without: no ports, no flags, no ICMP type.
        case later
    }

    package let source: IPAddress
    package let destination: IPAddress
    /// Octets from the IP header's first to the transport header's first.
    package let transportOffset: Int
    /// The IP packet's own length. The octets may go on behind it (padding); in a quote they may end before.
    package let totalLength: Int
    /// Tells the fragments of one datagram, together with the addresses (and in IPv4 the protocol); zero if there are none.
    package let fragmentIdentifier: UInt32
    /// TCP's and UDP's; an echo request's identifier; else zero.
    package let sourcePort: UInt16
    /// TCP's and UDP's; an echo reply's identifier; else zero.
    package let destinationPort: UInt16
    package let transport: Transport
    /// As the header has it, for IPv6 the last one of the chain. Later IPv6 fragments may name another than the first.
    package let protocolNumber: UInt8
    package let hopLimit: UInt8
    package let fragment: Fragment
    /// Empty for a quoted packet, which need not reach that far.
    package let tcpFlags: TCPFlags
    package let icmpType: UInt8
    package let icmpCode: UInt8

    /// Decodes a packet that begins with the first octet and is there as a whole.
    package init(parsing bytes: RawSpan) throws(ParseError) { try self.init(bytes, .whole) }

    /// Decodes a packet that an ICMP error quotes, of which not more than the first eight octets of transport need be there.
    ///
    /// Its checksum is not verified: the routers it passed need not have kept it right.
    package init(quoted bytes: RawSpan) throws(ParseError) { try self.init(bytes, .quoted) }

    package var isV4: Bool { source.isV4 }

    /// A message about another packet, which it quotes from `quoteOffset` on (RFC 1122 section 3.2.2, RFC 4443 section 2.1).
    package var isICMPError: Bool {
        switch transport {
        case .icmp where fragment != .later:
            icmpType == 3 || icmpType == 4 || icmpType == 5 || icmpType == 11 || icmpType == 12
        case .icmpv6 where fragment != .later: icmpType < 128
        default: false
        }
    }

    /// Where the quoted packet begins, from the IP header's first octet. Meant for ICMP errors only.
    package var quoteOffset: Int { transportOffset &+ ICMPHeader.size }
}

// MARK: - Decoding

extension PacketSummary {
    fileprivate enum Extent { case whole, quoted }

    /// The only place that asks which IP version a packet is.
    @inline(__always)
    private init(_ bytes: RawSpan, _ extent: Extent) throws(ParseError) {
        guard bytes.byteCount > 0 else { throw .truncated }
        let network: NetworkLayer
        switch bytes.octet(at: 0) >> 4 {
        case 4: network = try NetworkLayer(v4: bytes, extent)
        case 6: network = try NetworkLayer(v6: bytes, extent)
        default: throw .badVersion
        }
        let transport = try TransportLayer(after: network, in: bytes, extent)

        source = network.source
        destination = network.destination
        transportOffset = network.end
        totalLength = network.totalLength
        fragmentIdentifier = network.fragment == .none ? 0 : network.identification
        sourcePort = transport.sourcePort
        destinationPort = transport.destinationPort
        self.transport = network.transport
        protocolNumber = network.protocolNumber
        hopLimit = network.hopLimit
        fragment = network.fragment
        tcpFlags = transport.flags
        icmpType = transport.icmpType
        icmpCode = transport.icmpCode
    }
}

/// What both IP versions say.
private struct NetworkLayer {
    let source: IPAddress
    let destination: IPAddress
    let transport: Transport
    let protocolNumber: UInt8
    let hopLimit: UInt8
    let fragment: PacketSummary.Fragment
    let identification: UInt32
    /// Where the transport begins.
    let end: Int
    let totalLength: Int

    @inline(__always)
    init(v4 bytes: RawSpan, _ extent: PacketSummary.Extent) throws(ParseError) {
        let header = try IPv4Header(bytes)
        totalLength = header.totalLength
        end = header.headerLength
        if extent == .whole {
            guard totalLength <= bytes.byteCount else { throw .truncated }
            guard header.checksumHolds else { throw .badHeaderChecksum }
        }
        source = header.source
        destination = header.destination
        protocolNumber = header.protocolNumber
        transport = Transport(protocolNumber: header.protocolNumber, isV4: true)
        hopLimit = header.timeToLive
        identification = UInt32(header.identification)
        fragment = try Self.fragment(
            at: header.fragmentOffset, hasMore: header.moreFragments, payload: totalLength &- end, of: transport)
    }

    @inline(__always)
    init(v6 bytes: RawSpan, _ extent: PacketSummary.Extent) throws(ParseError) {
        let header = try IPv6Header(bytes)
        source = header.source
        destination = header.destination
        guard !source.isV4, !destination.isV4 else { throw .mappedAddress }
        guard header.payloadLength > 0 || header.nextHeader != ProtocolNumber.hopByHopOptions else { throw .jumbogram }
        totalLength = IPv6Header.size &+ header.payloadLength
        guard totalLength <= bytes.byteCount || extent == .quoted else { throw .truncated }
        let chain = try IPv6ExtensionChain(after: header, in: bytes.extracting(first: totalLength))
        end = chain.end
        protocolNumber = chain.protocolNumber
        transport = Transport(protocolNumber: chain.protocolNumber, isV4: false)
        hopLimit = header.hopLimit
        identification = chain.identification
        fragment = try Self.fragment(
            at: chain.fragmentOffset, hasMore: chain.moreFragments, payload: totalLength &- chain.fragmentStart,
            of: transport)
    }

    /// Finds a fragment's place, and refuses what cannot be put together or is cut to deceive a filter.
    @inline(__always)
    private static func fragment(
        at offset: Int, hasMore: Bool, payload: Int, of transport: Transport
    ) throws(ParseError) -> PacketSummary.Fragment {
        guard offset != 0 || hasMore else { return .none }
        guard payload > 0, !hasMore || payload & 7 == 0, offset &+ payload <= 65_535 else { throw .badFragment }
        // A later fragment that begins inside the TCP header could overwrite the flags that a filter saw (RFC 3128).
        guard offset != 8 || transport != .tcp else { throw .tinyFragment }
        return offset == 0 ? .first : .later
    }
}

/// What the transport header says, as far as there is one.
private struct TransportLayer {
    var sourcePort: UInt16 = 0
    var destinationPort: UInt16 = 0
    var flags: TCPFlags = []
    var icmpType: UInt8 = 0
    var icmpCode: UInt8 = 0

    @inline(__always)
    init(after network: NetworkLayer, in bytes: RawSpan, _ extent: PacketSummary.Extent) throws(ParseError) {
        guard network.fragment != .later, network.transport != .other else { return }
        let packet = bytes.extracting(first: network.totalLength)
        guard network.end &+ Self.leastOctets(of: network.transport, extent) <= packet.byteCount else {
            throw network.fragment == .first && extent == .whole ? .tinyFragment : .truncated
        }
        let segment = packet.extracting(droppingFirst: network.end)
        switch network.transport {
        case .tcp:
            sourcePort = segment.word16(at: TCPHeader.Field.sourcePort)
            destinationPort = segment.word16(at: TCPHeader.Field.destinationPort)
            if extent == .whole { flags = try TCPHeader(parsing: segment).flags }
        case .udp:
            let header = try UDPHeader(parsing: segment)
            sourcePort = header.sourcePort
            destinationPort = header.destinationPort
            // A length below what the packet has room for is allowed (RFC 9868 uses the rest), one above is not.
            guard extent == .quoted || header.length >= UDPHeader.size,
                extent == .quoted || network.fragment == .first || header.length <= segment.byteCount
            else { throw .badTransportHeader }
        case .icmp, .icmpv6:
            let header = try ICMPHeader(parsing: segment)
            icmpType = header.type
            icmpCode = header.code
            let (request, reply): (UInt8, UInt8) = network.transport == .icmp ? (8, 0) : (128, 129)
            if icmpType == request { sourcePort = header.identifier }
            if icmpType == reply { destinationPort = header.identifier }
        case .other: break
        }
    }

    /// Octets that must be there before anything is read.
    @inline(__always)
    private static func leastOctets(of transport: Transport, _ extent: PacketSummary.Extent) -> Int {
        transport == .tcp && extent == .whole ? TCPHeader.size : 8
    }
}
