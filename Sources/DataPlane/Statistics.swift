import PacketParse

/// What the loop has counted since it began: plain integers with one writer. Whoever else wants them asks for a copy.
package struct Statistics: Sendable, BitwiseCopyable {
    /// What was forwarded in one direction. Octets are those of the IP packets; a super-packet is one packet.
    package struct Traffic: Sendable, BitwiseCopyable {
        package internal(set) var packets: UInt64 = 0
        package internal(set) var bytes: UInt64 = 0
        package internal(set) var superPackets: UInt64 = 0
    }

    /// A counter for each errand, in its place.
    private var handedOver: InlineArray<64, Traffic> = .init(repeating: Traffic())
    /// Octets that were handed to a port, whatever for.
    private(set) var octetsPassed: UInt64 = 0

    package internal(set) var flowsOpened: UInt64 = 0
    package internal(set) var flowsExpired: UInt64 = 0
    package internal(set) var flowsEvicted: UInt64 = 0

    /// Super-packets that a port refused whole and that were split in software; each piece counts as a packet.
    package internal(set) var superPacketsSplit: UInt64 = 0
    /// Packets that left in fragments of ours.
    package internal(set) var packetsFragmented: UInt64 = 0
    /// ICMP errors that a packet deserved and the limits forbade.
    package internal(set) var errorsSuppressed: UInt64 = 0

    private var drops: InlineArray<64, UInt64> = .init(repeating: 0)

    package init() {}

    package var egress: Traffic { sum(of: .egress) }
    package var ingress: Traffic { sum(of: .ingress) }
    package var hairpin: Traffic { sum(of: .hairpin) }

    /// What was forwarded of one kind. All of them together are what was forwarded at all.
    package func traffic(_ way: Way, isV4: Bool, _ transport: CountedTransport) -> Traffic {
        var sum = Traffic()
        for transport in transport.counted {
            sum.add(handedOver[Int(Errand(way, transport, isV4: isV4).place)])
        }
        return sum
    }

    private func sum(of way: Way) -> Traffic {
        var sum = Traffic()
        for transport in CountedTransport.allCases {
            for isV4 in [true, false] { sum.add(traffic(way, isV4: isV4, transport)) }
        }
        return sum
    }

    package func dropped(_ reason: DropReason) -> UInt64 { drops[reason.counter] }

    /// ICMP errors of our own that were sent. The packets that they are about count as dropped.
    package func sent(_ error: ICMPError) -> UInt64 { handedOver[Int(Errand(error).place)].packets }

    @inline(always) mutating func drop(_ reason: DropReason, count: Int = 1) {
        drops[reason.counter] &+= UInt64(truncatingIfNeeded: count)
    }

    @inline(always) mutating func count(_ errand: Errand, bytes: Int, isSuperPacket: Bool) {
        handedOver[errand.index].add(bytes, isSuperPacket)
        octetsPassed &+= UInt64(truncatingIfNeeded: bytes)
    }
}

/// What a frame carries to the port that it is written to: a way, a transport and a family, or an ICMP error of ours.
///
/// It is the place of its counter, put together once a packet without a branch, because each packet is counted.
struct Errand: BitwiseCopyable, Sendable {
    /// From the highest bit of six: two for the way, three for the transport, one for IPv4. Errors stand where a fourth way
    /// would.
    let place: UInt8

    init(place: UInt8) { self.place = place }

    @inline(always) init(_ way: Way, _ transport: Transport, isV4: Bool) {
        place = way.rawValue << 4 | transport.rawValue << 1 | (isV4 ? 1 : 0)
    }

    /// What a packet is that goes straight on.
    @inline(always) init(from side: Side, _ summary: PacketSummary) {
        self.init(side == .inside ? .egress : .ingress, summary.transport, isV4: summary.isV4)
    }

    init(_ error: ICMPError) { place = Self.errors | error.rawValue }

    private static var errors: UInt8 { 3 << 4 }

    /// The same of a packet that comes back instead of leaving.
    var turned: Errand { Errand(place: place | Way.hairpin.rawValue << 4) }

    var isError: Bool { place >= Self.errors }

    /// The same, which the compiler sees to be below 64.
    @inline(always) var index: Int { Int(place & 63) }
}

extension Statistics {
    /// Takes back what was counted when it was handed to a port that then refused it.
    mutating func withdraw(_ errand: Errand, bytes: Int, isSuperPacket: Bool) {
        handedOver[errand.index].remove(bytes, isSuperPacket)
        octetsPassed &-= UInt64(truncatingIfNeeded: bytes)
        if errand.isError { errorsSuppressed &+= 1 }
    }
}

extension Statistics.Traffic {
    mutating func remove(_ octets: Int, _ isSuperPacket: Bool) {
        packets &-= 1
        superPackets &-= isSuperPacket ? 1 : 0
        bytes &-= UInt64(truncatingIfNeeded: octets)
    }

    @inline(always) mutating func add(_ octets: Int, _ isSuperPacket: Bool) {
        packets &+= 1
        bytes &+= UInt64(truncatingIfNeeded: octets)
        superPackets &+= isSuperPacket ? 1 : 0
    }

    fileprivate mutating func add(_ other: Self) {
        packets &+= other.packets
        bytes &+= other.bytes
        superPackets &+= other.superPackets
    }
}

/// The ways on which packets are forwarded. Scripts see the names: never renamed.
package enum Way: UInt8, Sendable, CaseIterable {
    /// From the tailnet to the VPN.
    case egress
    /// From the VPN to the tailnet.
    case ingress
    /// From one client to another by way of the exit address.
    case hairpin
}

/// What is told apart of what was forwarded. Scripts see the names: never renamed.
package enum CountedTransport: Sendable, CaseIterable {
    case tcp, udp
    /// ICMPv6, too: the family tells which.
    case icmp
    /// Later fragments in IPv6 that name another protocol than their first one (RFC 8200 section 4.5); nothing else.
    case other

    fileprivate var counted: [Transport] {
        switch self {
        case .tcp: [.tcp]
        case .udp: [.udp]
        case .icmp: [.icmp, .icmpv6]
        case .other: [.other]
        }
    }
}

/// The way a packet goes, as the node's owner sees it.
package enum Direction: UInt8, Sendable, CaseIterable {
    /// From the tailnet to the VPN.
    case egress
    /// From the VPN to the tailnet.
    case ingress
}
