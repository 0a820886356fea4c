/// An IPv6 header over octets that were checked once (RFC 8200 section 3): all 40 octets are inside the span.
public struct IPv6Header: ~Escapable {
    private let bytes: RawSpan

    /// Octets that the header takes, without extensions.
    public static var size: Int { 40 }

    /// Where fields lie, in octets.
    public enum Field {
        public static var payloadLength: Int { 4 }
        public static var hopLimit: Int { 7 }
        public static var source: Int { 8 }
        public static var destination: Int { 24 }
    }

    @inline(__always) @_lifetime(copy bytes)
    init(_ bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        self.bytes = bytes
    }

    var payloadLength: Int { Int(bytes.word16(at: Field.payloadLength)) }
    var nextHeader: UInt8 { bytes.octet(at: 6) }
    var hopLimit: UInt8 { bytes.octet(at: Field.hopLimit) }
    var source: IPAddress { IPAddress(bits: bytes.word128(at: Field.source)) }
    var destination: IPAddress { IPAddress(bits: bytes.word128(at: Field.destination)) }
}

/// What stands between an IPv6 header and the transport: walked, bounded, and forgotten (RFC 8200 section 4).
struct IPv6ExtensionChain {
    /// More than any honest packet carries; RFC 8504 section 5.3 lets a host set such a limit.
    static let limit = 8

    /// The first protocol that is no extension header; behind a later fragment, whatever that fragment names.
    var protocolNumber: UInt8
    /// Where it begins, from the IPv6 header's first octet.
    var end = IPv6Header.size
    /// Where the data of a fragment begins: behind the fragment header, if there was one.
    var fragmentStart = IPv6Header.size
    /// Not an atomic one.
    var isFragment = false
    /// The fragment header's three fields, or zeros.
    var fragmentOffset = 0
    var moreFragments = false
    var identification: UInt32 = 0

    /// The extension headers that can be stepped over; others end the chain as a protocol without ports.
    @inline(__always)
    static func canStepOver(_ protocolNumber: UInt8) -> Bool {
        switch protocolNumber {
        case ProtocolNumber.hopByHopOptions, ProtocolNumber.routing, ProtocolNumber.destinationOptions,
            ProtocolNumber.fragment, ProtocolNumber.authentication:
            true
        default: false
        }
    }

    /// Walks `packet`, which ends where the IPv6 packet ends, from the IPv6 header's next header on.
    init(from nextHeader: UInt8, in packet: RawSpan) throws(ParseError) {
        protocolNumber = nextHeader
        var headers = 0
        while Self.canStepOver(protocolNumber) {
            guard headers < Self.limit else { throw .extensionChainTooLong }
            let length: Int
            // Every extension header is at least eight octets long.
            guard end &+ 8 <= packet.byteCount else { throw isFragment ? .tinyFragment : .truncated }
            switch protocolNumber {
            case ProtocolNumber.fragment:
                guard !isFragment else { throw .badFragment }
                let field = packet.word16(at: end &+ 2)
                fragmentOffset = Int(field & 0xfff8)
                moreFragments = field & 1 != 0
                identification = packet.word32(at: end &+ 4)
                isFragment = moreFragments || fragmentOffset != 0
                fragmentStart = end &+ 8
                length = 8
            case ProtocolNumber.authentication:
                // RFC 4302 section 2.2 counts in 32-bit words, minus two.
                length = (Int(packet.octet(at: end &+ 1)) &+ 2) &* 4
            default:
                guard protocolNumber != ProtocolNumber.hopByHopOptions || headers == 0 else { throw .badExtensionOrder }
                guard protocolNumber != ProtocolNumber.routing || packet.octet(at: end &+ 2) != 0 else {
                    throw .routingHeaderType0
                }
                length = (Int(packet.octet(at: end &+ 1)) &+ 1) &* 8
            }
            guard end &+ length <= packet.byteCount else { throw isFragment ? .tinyFragment : .truncated }
            protocolNumber = packet.octet(at: end)
            end &+= length
            headers &+= 1
            guard fragmentOffset == 0 else { return }
        }
    }
}
