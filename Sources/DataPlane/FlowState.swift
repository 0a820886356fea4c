import PacketParse

/// Where a conversation stands, as far as its time-outs need to know.
///
/// For TCP this is the state machine of RFC 6146 section 3.5.2.2, which RFC 5382 leaves open: a reset does not end a flow at
/// once, because a forged one would; it shortens its time, and the next ordinary packet takes that back. UDP and ICMP use
/// the first three states only.
///
///     opening -> answered -> established -> remoteFinished / clientFinished -> closing
///                                ^  any of these, by RST -> reset -> back by any packet without RST
package enum FlowState: UInt8, Sendable, BitwiseCopyable {
    /// The tailnet has sent, nothing has come back.
    case opening
    /// Something has come back.
    case answered
    /// The tailnet has sent again after an answer: a conversation, never given up for a new one.
    case established
    case clientFinished
    case remoteFinished
    /// Both ends have sent FIN.
    case closing
    case reset

    /// The name that scripts see. Never renamed.
    package var name: StaticString {
        switch self {
        case .opening: "opening"
        case .answered: "answered"
        case .established: "established"
        case .clientFinished: "client_finished"
        case .remoteFinished: "remote_finished"
        case .closing: "closing"
        case .reset: "reset"
        }
    }

    /// The state after a packet from the tailnet.
    @inline(always) func afterEgress(_ transport: Transport, _ flags: TCPFlags) -> FlowState {
        guard transport == .tcp else {
            return self == .answered && transport == .udp ? .established : self
        }
        // A reset that nothing had answered must not lead to `established`, or a client alone could fill the table for good.
        if flags.contains(.rst) { return self == .opening ? .opening : .reset }
        if flags.contains(.syn), self == .closing || self == .reset { return .opening }
        if flags.contains(.fin) {
            switch self {
            case .remoteFinished, .closing: return .closing
            case .opening: return .opening
            default: return .clientFinished
            }
        }
        switch self {
        case .answered, .reset: return .established
        default: return self
        }
    }

    /// The state after a packet from the VPN.
    @inline(always) func afterIngress(_ transport: Transport, _ flags: TCPFlags) -> FlowState {
        guard transport == .tcp else { return self == .opening ? .answered : self }
        if flags.contains(.rst) { return .reset }
        if flags.contains(.fin) {
            switch self {
            case .clientFinished, .closing: return .closing
            default: return .remoteFinished
            }
        }
        switch self {
        case .opening: return .answered
        case .reset: return .established
        default: return self
        }
    }

    /// Whether a new flow may never take this one's place.
    @inline(always) var isKept: Bool {
        switch self {
        case .established, .clientFinished, .remoteFinished: true
        case .opening, .answered, .closing, .reset: false
        }
    }

    /// Seconds without a packet after which a flow ends: RFC 5382 REQ-5, RFC 4787 REQ-5, RFC 5508 REQ-2.
    @inline(always) func timeout(_ transport: Transport) -> UInt32 {
        switch transport {
        case .tcp: isKept ? 7440 : 240
        case .udp: 300
        default: 60
        }
    }
}
