/// What the network header carries, as far as a flow can be made of it.
public enum Transport: UInt8, Sendable, BitwiseCopyable {
    case other, tcp, udp, icmp, icmpv6

    /// ICMP counts only inside IPv4 and ICMPv6 only inside IPv6; elsewhere they are `other`.
    init(protocolNumber: UInt8, isV4: Bool) {
        switch protocolNumber {
        case ProtocolNumber.tcp: self = .tcp
        case ProtocolNumber.udp: self = .udp
        case ProtocolNumber.icmp where isV4: self = .icmp
        case ProtocolNumber.icmpv6 where !isV4: self = .icmpv6
        default: self = .other
        }
    }
}

/// IANA's assigned protocol numbers that the parser knows.
public enum ProtocolNumber {
    public static let hopByHopOptions: UInt8 = 0
    public static let icmp: UInt8 = 1
    public static let tcp: UInt8 = 6
    public static let udp: UInt8 = 17
    public static let routing: UInt8 = 43
    public static let fragment: UInt8 = 44
    public static let authentication: UInt8 = 51
    public static let icmpv6: UInt8 = 58
    public static let destinationOptions: UInt8 = 60
}

/// The control bits of a TCP header (RFC 9293 section 3.1).
public struct TCPFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt8

    @inline(__always)
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static var fin: TCPFlags { TCPFlags(rawValue: 0x01) }
    public static var syn: TCPFlags { TCPFlags(rawValue: 0x02) }
    public static var rst: TCPFlags { TCPFlags(rawValue: 0x04) }
    public static var psh: TCPFlags { TCPFlags(rawValue: 0x08) }
    public static var ack: TCPFlags { TCPFlags(rawValue: 0x10) }
    public static var urg: TCPFlags { TCPFlags(rawValue: 0x20) }
    public static var ece: TCPFlags { TCPFlags(rawValue: 0x40) }
    public static var cwr: TCPFlags { TCPFlags(rawValue: 0x80) }
}
