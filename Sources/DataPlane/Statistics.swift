/// What the loop has counted since it began: plain integers with one writer. Whoever else wants them asks for a copy.
package struct Statistics: Sendable, BitwiseCopyable {
    /// What was forwarded in one direction. Octets are those of the IP packets; a super-packet is one packet.
    package struct Traffic: Sendable, BitwiseCopyable {
        package internal(set) var packets: UInt64 = 0
        package internal(set) var bytes: UInt64 = 0
        package internal(set) var superPackets: UInt64 = 0
    }

    package internal(set) var egress = Traffic()
    package internal(set) var ingress = Traffic()
    /// From one client to another by way of the exit address.
    package internal(set) var hairpin = Traffic()

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
    private var errors: InlineArray<5, UInt64> = .init(repeating: 0)

    package init() {}

    package func dropped(_ reason: DropReason) -> UInt64 { drops[reason.counter] }

    /// ICMP errors of our own that were sent. The packets that they are about count as dropped.
    package func sent(_ error: ICMPError) -> UInt64 { errors[Int(error.rawValue)] }

    @inline(always) mutating func drop(_ reason: DropReason, count: Int = 1) {
        drops[reason.counter] &+= UInt64(truncatingIfNeeded: count)
    }

    @inline(always) mutating func count(_ errand: Errand, bytes: Int, isSuperPacket: Bool) {
        switch errand {
        case .egress: egress.add(bytes, isSuperPacket)
        case .ingress: ingress.add(bytes, isSuperPacket)
        case .hairpin: hairpin.add(bytes, isSuperPacket)
        case .error(let error): errors[Int(error.rawValue)] &+= 1
        }
    }
}

/// What a frame carries to the port that it is written to.
enum Errand: BitwiseCopyable, Sendable {
    case egress, ingress, hairpin
    case error(ICMPError)
}

extension Statistics {
    /// Takes back what was counted when it was handed to a port that then refused it.
    mutating func withdraw(_ errand: Errand, bytes: Int, isSuperPacket: Bool) {
        switch errand {
        case .egress: egress.remove(bytes, isSuperPacket)
        case .ingress: ingress.remove(bytes, isSuperPacket)
        case .hairpin: hairpin.remove(bytes, isSuperPacket)
        case .error(let error):
            errors[Int(error.rawValue)] &-= 1
            errorsSuppressed &+= 1
        }
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
}

/// The way a packet goes, as the node's owner sees it.
package enum Direction: UInt8, Sendable, CaseIterable {
    /// From the tailnet to the VPN.
    case egress
    /// From the VPN to the tailnet.
    case ingress
}
