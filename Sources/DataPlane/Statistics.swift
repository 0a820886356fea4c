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

    package internal(set) var flowsOpened: UInt64 = 0
    package internal(set) var flowsExpired: UInt64 = 0
    package internal(set) var flowsEvicted: UInt64 = 0

    /// Super-packets that a port refused whole and that were split in software; each piece counts as a packet.
    package internal(set) var superPacketsSplit: UInt64 = 0

    private var drops: InlineArray<64, UInt64> = .init(repeating: 0)

    package init() {}

    package func dropped(_ reason: DropReason) -> UInt64 { drops[reason.counter] }

    @inline(always) mutating func drop(_ reason: DropReason) { drops[reason.counter] &+= 1 }

    @inline(always) mutating func forward(_ direction: Direction, bytes: Int, isSuperPacket: Bool) {
        switch direction {
        case .egress: egress.add(bytes, isSuperPacket)
        case .ingress: ingress.add(bytes, isSuperPacket)
        }
    }
}

extension Statistics {
    /// Takes back what was counted as forwarded when it was handed to a port that then refused it.
    mutating func withdraw(_ direction: Direction, bytes: Int, isSuperPacket: Bool) {
        switch direction {
        case .egress: egress.remove(bytes, isSuperPacket)
        case .ingress: ingress.remove(bytes, isSuperPacket)
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
