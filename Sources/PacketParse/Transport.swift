/// What the network header carries, as far as a flow can be made of it.
package enum Transport: UInt8, Sendable, BitwiseCopyable {
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
package enum ProtocolNumber {
    package static let hopByHopOptions: UInt8 = 0
    package static let icmp: UInt8 = 1
    package static let tcp: UInt8 = 6
    package static let udp: UInt8 = 17
    package static let routing: UInt8 = 43
    package static let fragment: UInt8 = 44
    package static let authentication: UInt8 = 51
    package static let icmpv6: UInt8 = 58
    package static let destinationOptions: UInt8 = 60
}

/// The control bits of a TCP header (RFC 9293 section 3.1).
package struct TCPFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt8

    @inline(__always)
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static var fin: TCPFlags { TCPFlags(rawValue: 0x01) }
    package static var syn: TCPFlags { TCPFlags(rawValue: 0x02) }
    package static var rst: TCPFlags { TCPFlags(rawValue: 0x04) }
    package static var psh: TCPFlags { TCPFlags(rawValue: 0x08) }
    package static var ack: TCPFlags { TCPFlags(rawValue: 0x10) }
    package static var urg: TCPFlags { TCPFlags(rawValue: 0x20) }
    package static var ece: TCPFlags { TCPFlags(rawValue: 0x40) }
    package static var cwr: TCPFlags { TCPFlags(rawValue: 0x80) }
}
