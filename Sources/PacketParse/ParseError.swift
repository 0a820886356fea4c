/// Why octets are not a packet that we would forward. Each is a drop reason of its own.
public enum ParseError: UInt8, Error, CaseIterable, Sendable, BitwiseCopyable {
    /// The octets end before a header or a length that they announce.
    case truncated
    /// Neither 4 nor 6.
    case badVersion
    /// An IPv4 header length below 20 octets.
    case badHeaderLength
    /// An IPv4 total length that does not even cover the header.
    case badTotalLength
    /// The sum over the IPv4 header is wrong.
    case badHeaderChecksum
    /// An IPv6 source or destination in ::ffff:0:0/96: it would pass for IPv4.
    case mappedAddress
    /// An IPv6 payload length of zero with hop-by-hop options (RFC 2675).
    case jumbogram
    /// Hop-by-hop options elsewhere than directly behind the IPv6 header (RFC 8200 section 4.1).
    case badExtensionOrder
    /// More extension headers than we are willing to walk.
    case extensionChainTooLong
    /// Routing header type 0, an amplifier (RFC 5095).
    case routingHeaderType0
    /// A fragment that is empty, not a multiple of eight octets, past the 65,535th octet, or fragmented twice.
    case badFragment
    /// A first fragment without the whole transport header, or one that would overwrite it (RFC 1858, 3128, 7112).
    case tinyFragment
    /// A TCP data offset below 20 octets or past the end, or a UDP length that contradicts the packet's.
    case badTransportHeader

    /// The name that statistics and scripts see. Never renamed.
    public var name: StaticString {
        switch self {
        case .truncated: "truncated"
        case .badVersion: "bad_version"
        case .badHeaderLength: "bad_header_length"
        case .badTotalLength: "bad_total_length"
        case .badHeaderChecksum: "bad_header_checksum"
        case .mappedAddress: "mapped_address"
        case .jumbogram: "jumbogram"
        case .badExtensionOrder: "bad_extension_order"
        case .extensionChainTooLong: "extension_chain_too_long"
        case .routingHeaderType0: "routing_header_type_0"
        case .badFragment: "bad_fragment"
        case .tinyFragment: "tiny_fragment"
        case .badTransportHeader: "bad_transport_header"
        }
    }
}
