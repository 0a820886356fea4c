/// The meaning of one packet, decoded once. Everything after the parser reads this and not the octets.
///
/// The parser never looks past the transport header.
public struct PacketSummary: Equatable, Sendable, BitwiseCopyable {
    /// A packet's place in a fragmented datagram.
    public enum Fragment: UInt8, Sendable, BitwiseCopyable {
        /// A datagram of its own. An IPv6 atomic fragment is one too (RFC 6946).
        case none
        /// The one with the transport header.
        case first
        /// One without: no ports, no flags, no ICMP type.
        case later
    }

    public private(set) var source = IPAddress.unspecified
    public private(set) var destination = IPAddress.unspecified
    /// Octets from the IP header's first to the transport header's first.
    public private(set) var transportOffset = 0
    /// The IP packet's own length. The octets may go on behind it (padding); in a quote they may end before.
    public private(set) var totalLength = 0
    /// What the fragments of one datagram share, beside addresses (and in IPv4 the protocol). Zero if there are none.
    public private(set) var fragmentIdentifier: UInt32 = 0
    /// TCP's and UDP's; an echo request's identifier; else zero.
    public private(set) var sourcePort: UInt16 = 0
    /// TCP's and UDP's; an echo reply's identifier; else zero.
    public private(set) var destinationPort: UInt16 = 0
    public private(set) var transport = Transport.other
    /// As the header has it, for IPv6 the last one of the chain. Later IPv6 fragments may name another than the first.
    public private(set) var protocolNumber: UInt8 = 0
    public private(set) var hopLimit: UInt8 = 0
    public private(set) var fragment = Fragment.none
    /// Empty for a quoted packet, which need not reach that far.
    public private(set) var tcpFlags: TCPFlags = []
    public private(set) var icmpType: UInt8 = 0
    /// As the addresses are; kept, because every packet is asked several times.
    public private(set) var isV4 = false

    /// Decodes a packet that begins with the first octet and is there as a whole.
    public init(parsing bytes: RawSpan) throws(ParseError) { try decode(bytes, .whole) }

    /// Decodes a packet that an ICMP error quotes. Of its transport eight octets suffice.
    ///
    /// Its checksum is not verified: the routers it passed need not have kept it right.
    public init(quoted bytes: RawSpan) throws(ParseError) { try decode(bytes, .quoted) }

    /// A message about another packet, quoted from `quoteOffset` on (RFC 1122 section 3.2.2, RFC 4443 section 2.1).
    @inlinable @inline(__always)
    public var isICMPError: Bool {
        switch transport {
        case .icmp where fragment != .later:
            icmpType == 3 || icmpType == 4 || icmpType == 5 || icmpType == 11 || icmpType == 12
        case .icmpv6 where fragment != .later: icmpType < 128
        default: false
        }
    }

    /// Tells a host of its own link that another router is nearer (RFC 792, RFC 4861 section 4.5). ICMPv6 has it among what
    /// is no error, though no more than an error may it be answered by one.
    public var isRedirect: Bool {
        fragment != .later && (transport == .icmp && icmpType == 5 || transport == .icmpv6 && icmpType == 137)
    }

    /// Where the quoted packet begins, from the IP header's first octet. Meant for ICMP errors only.
    public var quoteOffset: Int { transportOffset &+ ICMPHeader.size }
}

// MARK: - Decoding

extension PacketSummary {
    private enum Extent { case whole, quoted }

    /// The only place that asks which IP version a packet is.
    @inline(__always)
    private mutating func decode(_ bytes: RawSpan, _ extent: Extent) throws(ParseError) {
        guard bytes.byteCount > 0 else { throw .truncated }
        switch bytes.octet(at: 0) >> 4 {
        case 4: try decodeV4(bytes, extent)
        case 6: try decodeV6(bytes, extent)
        default: throw .badVersion
        }
        guard fragment != .later, transport != .other else { return }
        try decodeTransport(in: bytes.extracting(first: totalLength), extent)
    }

    @inline(__always)
    private mutating func decodeV4(_ bytes: RawSpan, _ extent: Extent) throws(ParseError) {
        let header = try IPv4Header(bytes)
        isV4 = true
        totalLength = header.totalLength
        transportOffset = header.headerLength
        if extent == .whole {
            guard totalLength <= bytes.byteCount else { throw .truncated }
            guard header.checksumHolds else { throw .badHeaderChecksum }
        }
        source = header.source
        destination = header.destination
        hopLimit = header.timeToLive
        protocolNumber = header.protocolNumber
        transport = Transport(protocolNumber: protocolNumber, isV4: true)
        if header.isFragment {
            fragmentIdentifier = UInt32(header.identification)
            try locate(
                at: header.fragmentOffset, hasMore: header.moreFragments, payload: totalLength &- transportOffset)
        }
    }

    @inline(__always)
    private mutating func decodeV6(_ bytes: RawSpan, _ extent: Extent) throws(ParseError) {
        let header = try IPv6Header(bytes)
        source = header.source
        destination = header.destination
        guard !source.isV4, !destination.isV4 else { throw .mappedAddress }
        guard header.payloadLength > 0 || header.nextHeader != ProtocolNumber.hopByHopOptions else { throw .jumbogram }
        totalLength = IPv6Header.size &+ header.payloadLength
        guard totalLength <= bytes.byteCount || extent == .quoted else { throw .truncated }
        hopLimit = header.hopLimit
        protocolNumber = header.nextHeader
        transportOffset = IPv6Header.size
        if IPv6ExtensionChain.canStepOver(protocolNumber) {
            try stepOverExtensions(in: bytes.extracting(first: totalLength))
        }
        transport = Transport(protocolNumber: protocolNumber, isV4: false)
    }

    @inline(never)  // Rare, and the registers it needs would be missed by those who have no extensions.
    private mutating func stepOverExtensions(in packet: RawSpan) throws(ParseError) {
        let chain = try IPv6ExtensionChain(from: protocolNumber, in: packet)
        protocolNumber = chain.protocolNumber
        transportOffset = chain.end
        if chain.isFragment {
            fragmentIdentifier = chain.identification
            try locate(
                at: chain.fragmentOffset, hasMore: chain.moreFragments, payload: totalLength &- chain.fragmentStart)
        }
    }

    /// Finds a fragment's place, and refuses what cannot be put together or is cut to deceive a filter.
    private mutating func locate(at offset: Int, hasMore: Bool, payload: Int) throws(ParseError) {
        guard payload > 0, !hasMore || payload & 7 == 0, offset &+ payload <= 65_535 else { throw .badFragment }
        // A later fragment that begins inside the TCP header could overwrite the flags that a filter saw (RFC 3128).
        guard offset == 0 || offset >= TCPHeader.size || protocolNumber != ProtocolNumber.tcp else {
            throw .tinyFragment
        }
        fragment = offset == 0 ? .first : .later
    }

    @inline(__always)
    private mutating func decodeTransport(in packet: RawSpan, _ extent: Extent) throws(ParseError) {
        let least = transport == .tcp && extent == .whole ? TCPHeader.size : 8
        guard transportOffset &+ least <= packet.byteCount else {
            throw fragment == .first && extent == .whole ? .tinyFragment : .truncated
        }
        let segment = packet.extracting(droppingFirst: transportOffset)
        switch transport {
        case .tcp:
            sourcePort = segment.word16(at: TCPHeader.Field.sourcePort)
            destinationPort = segment.word16(at: TCPHeader.Field.destinationPort)
            if extent == .whole { tcpFlags = try TCPHeader(parsing: segment).flags }
        case .udp:
            let header = try UDPHeader(parsing: segment)
            sourcePort = header.sourcePort
            destinationPort = header.destinationPort
            // A length below what the packet has room for is allowed (RFC 9868 uses the rest), one above is not.
            guard extent == .quoted || header.length >= UDPHeader.size,
                extent == .quoted || fragment == .first || header.length <= segment.byteCount
            else { throw .badTransportHeader }
        case .icmp, .icmpv6:
            let header = try ICMPHeader(parsing: segment)
            icmpType = header.type
            let (request, reply): (UInt8, UInt8) = transport == .icmp ? (8, 0) : (128, 129)
            if icmpType == request { sourcePort = header.identifier }
            if icmpType == reply { destinationPort = header.identifier }
        case .other: break
        }
    }
}
