package import PacketParse

/// Why a packet was not forwarded: a closed list, each a counter.
package enum DropReason: Error, Hashable, Sendable, BitwiseCopyable {
    /// Its octets are not a packet we would forward.
    case malformed(ParseError)
    /// It is a packet, and the rules of the node refuse it.
    case refused(Rule)

    package enum Rule: UInt8, CaseIterable, Sendable, BitwiseCopyable {
        /// Neither TCP, UDP, an ICMP echo, nor an ICMP error about one of these.
        case unsupportedTransport
        /// A source or destination that no router forwards: loopback, link-local, multicast, unspecified.
        case unforwardableAddress
        /// The last hop that the sender allowed was this one.
        case hopLimitExceeded
        /// The VPN has no address of the packet's family.
        case noExitAddress
        /// Every slot holds a flow that may not give way.
        case flowTableFull
        /// No port was found that is free towards this remote.
        case bindingsExhausted
        /// From outside, and the tailnet opened no such flow.
        case noFlow
        /// A later fragment whose first has not been seen.
        case unknownFragment
        /// A virtio header that contradicts its packet.
        case badSuperPacket
        /// The kernel did not take the packet from us.
        case writeRefused
        /// Longer than the next hop takes, and not to be cut.
        case packetTooBig
        /// A later fragment that was held for its first, which did not come.
        case heldFragmentExpired
        /// The cap of the period is used up.
        case capReached
        /// It had to wait for its turn, and there was no more room.
        case queueFull
        /// Its queue had stood for too long, which its sender learns by this.
        case queueStands

        package var name: StaticString {
            switch self {
            case .unsupportedTransport: "unsupported_transport"
            case .unforwardableAddress: "unforwardable_address"
            case .hopLimitExceeded: "hop_limit_exceeded"
            case .noExitAddress: "no_exit_address"
            case .flowTableFull: "flow_table_full"
            case .bindingsExhausted: "bindings_exhausted"
            case .noFlow: "no_flow"
            case .unknownFragment: "unknown_fragment"
            case .badSuperPacket: "bad_super_packet"
            case .writeRefused: "write_refused"
            case .packetTooBig: "packet_too_big"
            case .heldFragmentExpired: "held_fragment_expired"
            case .capReached: "cap_reached"
            case .queueFull: "queue_full"
            case .queueStands: "queue_stands"
            }
        }

        /// What the sender is to know of it. Nothing where it did wrong, and never that a flow is not there: strangers would
        /// learn which are.
        var answer: ICMPError? {
            switch self {
            case .hopLimitExceeded: .timeExceeded
            case .noExitAddress: .noRoute
            case .flowTableFull, .bindingsExhausted: .hostUnreachable
            case .packetTooBig: .packetTooBig
            case .capReached: .administrativelyProhibited
            default: nil
            }
        }
    }

    package static let all: [DropReason] =
        ParseError.allCases.map { .malformed($0) } + Rule.allCases.map { .refused($0) }

    /// The name that statistics and scripts see. Never renamed.
    package var name: StaticString {
        switch self {
        case .malformed(let error): error.name
        case .refused(let rule): rule.name
        }
    }

    /// The error that this reason deserves.
    var answer: ICMPError? {
        switch self {
        case .malformed: nil
        case .refused(let rule): rule.answer
        }
    }

    /// The place of this reason's counter.
    @inline(always) var counter: Int {
        switch self {
        case .malformed(let error): Int(error.rawValue)
        case .refused(let rule): 32 + Int(rule.rawValue)
        }
    }
}
