/// A TCP header over octets that were checked once (RFC 9293 section 3.1).
///
/// What exists has a data offset of at least 20 octets, all of them inside the span.
public struct TCPHeader: ~Escapable {
    private let bytes: RawSpan

    /// Octets that the header takes, without options.
    public static var size: Int { 20 }

    /// Where fields lie, in octets.
    public enum Field {
        public static var sourcePort: Int { 0 }
        public static var destinationPort: Int { 2 }
        public static var sequenceNumber: Int { 4 }
        public static var dataOffset: Int { 12 }
        public static var flags: Int { 13 }
        public static var checksum: Int { 16 }
    }

    /// `bytes` begin with the header.
    @inline(__always) @_lifetime(copy bytes)
    public init(parsing bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        let length = Int(bytes.octet(at: Field.dataOffset) >> 4) &* 4
        guard length >= Self.size, length <= bytes.byteCount else { throw .badTransportHeader }
        self.bytes = bytes
    }

    /// In octets.
    public var dataOffset: Int { Int(bytes.octet(at: Field.dataOffset) >> 4) &* 4 }
    public var flags: TCPFlags { TCPFlags(rawValue: bytes.octet(at: Field.flags)) }

    /// The maximum segment size option: its value, and where the value lies from the header's first octet.
    public struct MaximumSegmentSize: Sendable {
        public let value: UInt16
        public let offset: Int
    }

    /// The first MSS option before the end of the list or anything malformed (RFC 9293 section 3.2).
    public var maximumSegmentSize: MaximumSegmentSize? {
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
public struct UDPHeader: ~Escapable {
    private let bytes: RawSpan

    /// Octets that the header takes.
    public static var size: Int { 8 }

    /// Where fields lie, in octets.
    public enum Field {
        public static var sourcePort: Int { 0 }
        public static var destinationPort: Int { 2 }
        public static var length: Int { 4 }
        public static var checksum: Int { 6 }
    }

    /// `bytes` begin with the header.
    @inline(__always) @_lifetime(copy bytes)
    public init(parsing bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        self.bytes = bytes
    }

    public var sourcePort: UInt16 { bytes.word16(at: Field.sourcePort) }
    public var destinationPort: UInt16 { bytes.word16(at: Field.destinationPort) }
    /// Header and data.
    public var length: Int { Int(bytes.word16(at: Field.length)) }
}

/// An ICMP or ICMPv6 header over octets that were checked once (RFC 792, RFC 4443): all eight are inside the span.
///
/// No message that either protocol defines is shorter.
public struct ICMPHeader: ~Escapable {
    private let bytes: RawSpan

    /// Octets before the body, which in an error is the quoted packet.
    public static var size: Int { 8 }

    /// Where fields lie, in octets.
    public enum Field {
        public static var type: Int { 0 }
        public static var checksum: Int { 2 }
        public static var identifier: Int { 4 }
    }

    /// `bytes` begin with the header.
    @inline(__always) @_lifetime(copy bytes)
    public init(parsing bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        self.bytes = bytes
    }

    public var type: UInt8 { bytes.octet(at: Field.type) }
    /// Of an echo request or reply.
    public var identifier: UInt16 { bytes.word16(at: Field.identifier) }
}
