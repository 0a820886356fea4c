/// A TCP header over octets that were checked once (RFC 9293 section 3.1).
///
/// What exists has a data offset of at least 20 octets, all of them inside the span.
package struct TCPHeader: ~Escapable {
    private let bytes: RawSpan

    /// Octets that the header takes, without options.
    package static var size: Int { 20 }

    /// Where fields lie, in octets.
    package enum Field {
        package static var sourcePort: Int { 0 }
        package static var destinationPort: Int { 2 }
        package static var checksum: Int { 16 }
    }

    /// `bytes` begin with the header.
    @inline(__always) @_lifetime(copy bytes)
    package init(parsing bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        let length = Int(bytes.octet(at: 12) >> 4) &* 4
        guard length >= Self.size, length <= bytes.byteCount else { throw .badTransportHeader }
        self.bytes = bytes
    }

    /// In octets.
    package var dataOffset: Int { Int(bytes.octet(at: 12) >> 4) &* 4 }
    package var flags: TCPFlags { TCPFlags(rawValue: bytes.octet(at: 13)) }
    package var sequenceNumber: UInt32 { bytes.word32(at: 4) }
    package var acknowledgmentNumber: UInt32 { bytes.word32(at: 8) }
    package var checksum: UInt16 { bytes.word16(at: Field.checksum) }

    /// The maximum segment size option: its value, and where the value lies from the header's first octet.
    package struct MaximumSegmentSize: Sendable {
        package let value: UInt16
        package let offset: Int
    }

    /// The first MSS option before the end of the list or anything malformed (RFC 9293 section 3.2).
    package var maximumSegmentSize: MaximumSegmentSize? {
        var offset = Self.size
        let end = dataOffset
        while offset < end {
            switch bytes.octet(at: offset) {
            case 0: return nil
            case 1: offset &+= 1
            case let kind:
                guard offset &+ 1 < end else { return nil }
                let length = Int(bytes.octet(at: offset &+ 1))
                guard length >= 2, offset &+ length <= end else { return nil }
                if kind == 2, length == 4 {
                    return MaximumSegmentSize(value: bytes.word16(at: offset &+ 2), offset: offset &+ 2)
                }
                offset &+= length
            }
        }
        return nil
    }
}

/// A UDP header over octets that were checked once (RFC 768): all eight are inside the span.
package struct UDPHeader: ~Escapable {
    private let bytes: RawSpan

    /// Octets that the header takes.
    package static var size: Int { 8 }

    /// Where fields lie, in octets.
    package enum Field {
        package static var sourcePort: Int { 0 }
        package static var destinationPort: Int { 2 }
        package static var length: Int { 4 }
        package static var checksum: Int { 6 }
    }

    /// `bytes` begin with the header.
    @inline(__always) @_lifetime(copy bytes)
    package init(parsing bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        self.bytes = bytes
    }

    package var sourcePort: UInt16 { bytes.word16(at: Field.sourcePort) }
    package var destinationPort: UInt16 { bytes.word16(at: Field.destinationPort) }
    /// Header and data.
    package var length: Int { Int(bytes.word16(at: Field.length)) }
    package var checksum: UInt16 { bytes.word16(at: Field.checksum) }
}

/// An ICMP or ICMPv6 header over octets that were checked once (RFC 792, RFC 4443): all eight are inside the span.
///
/// No message that either protocol defines is shorter.
package struct ICMPHeader: ~Escapable {
    private let bytes: RawSpan

    /// Octets before the body, which in an error is the quoted packet.
    package static var size: Int { 8 }

    /// Where fields lie, in octets.
    package enum Field {
        package static var type: Int { 0 }
        package static var code: Int { 1 }
        package static var checksum: Int { 2 }
        package static var identifier: Int { 4 }
        /// The next hop's MTU in an ICMPv4 error "fragmentation needed" (RFC 1191).
        package static var nextHopMTU: Int { 6 }
        /// The 32-bit MTU in an ICMPv6 "packet too big".
        package static var mtu: Int { 4 }
    }

    /// `bytes` begin with the header.
    @inline(__always) @_lifetime(copy bytes)
    package init(parsing bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        self.bytes = bytes
    }

    package var type: UInt8 { bytes.octet(at: Field.type) }
    package var code: UInt8 { bytes.octet(at: Field.code) }
    package var checksum: UInt16 { bytes.word16(at: Field.checksum) }
    /// Of an echo request or reply.
    package var identifier: UInt16 { bytes.word16(at: Field.identifier) }
}
