import PacketParse
import Testing

@testable import DataPlane

/// The states against RFC 6146 section 3.5.2.2, written down as a table, and against what must hold whatever comes.
struct FlowStateTests {
    private static let all: [FlowState] = [
        .opening, .answered, .established, .clientFinished, .remoteFinished, .closing, .reset,
    ]
    private static let ack: TCPFlags = .ack
    private static let synAck: TCPFlags = [.syn, .ack]
    private static let fin: TCPFlags = [.fin, .ack]
    private static let rst: TCPFlags = .rst

    /// A step of a conversation and where it leads.
    struct Step: CustomTestStringConvertible {
        let from: FlowState
        let direction: Direction
        let flags: TCPFlags
        let to: FlowState

        init(_ from: FlowState, _ direction: Direction, _ flags: TCPFlags, _ to: FlowState) {
            (self.from, self.direction, self.flags, self.to) = (from, direction, flags, to)
        }

        var testDescription: String { "\(from) \(direction) \(flags.rawValue)" }
    }

    @Test(arguments: [
        Step(.opening, .egress, .syn, .opening), Step(.opening, .ingress, synAck, .answered),
        Step(.answered, .egress, ack, .established), Step(.answered, .egress, fin, .clientFinished),
        Step(.established, .egress, ack, .established), Step(.established, .ingress, ack, .established),
        Step(.established, .egress, .syn, .established), Step(.established, .egress, fin, .clientFinished),
        Step(.established, .ingress, fin, .remoteFinished), Step(.clientFinished, .ingress, ack, .clientFinished),
        Step(.clientFinished, .egress, fin, .clientFinished), Step(.clientFinished, .ingress, fin, .closing),
        Step(.remoteFinished, .egress, ack, .remoteFinished), Step(.remoteFinished, .egress, fin, .closing),
        Step(.closing, .egress, ack, .closing), Step(.closing, .ingress, ack, .closing),
        Step(.closing, .egress, .syn, .opening), Step(.reset, .ingress, ack, .established),
        Step(.reset, .egress, ack, .established), Step(.reset, .egress, .syn, .opening),
    ])
    func `a TCP conversation takes the way of RFC 6146`(step: Step) {
        let next =
            step.direction == .egress
            ? step.from.afterEgress(.tcp, step.flags) : step.from.afterIngress(.tcp, step.flags)
        #expect(next == step.to)
    }

    @Test func `a reset shortens any conversation that both ends have spoken in`() {
        for state in Self.all where state != .opening {
            #expect(state.afterEgress(.tcp, Self.rst) == .reset)
            #expect(state.afterIngress(.tcp, Self.rst) == .reset)
        }
        #expect(FlowState.opening.afterIngress(.tcp, Self.rst) == .reset)
    }

    @Test(arguments: [Transport.tcp, .udp, .icmp, .icmpv6])
    func `nothing that a client sends alone makes its flow one that is kept`(transport: Transport) {
        var reached: Set<FlowState> = [.opening]
        for _ in 0..<8 {
            for state in reached {
                for flags in UInt8.min ... .max {
                    reached.insert(state.afterEgress(transport, TCPFlags(rawValue: flags)))
                }
            }
        }
        #expect(!reached.contains { $0.isKept })
    }

    @Test func `a UDP conversation is kept once the client has answered an answer`() {
        #expect(FlowState.opening.afterEgress(.udp, []) == .opening)
        #expect(FlowState.opening.afterIngress(.udp, []) == .answered)
        #expect(FlowState.answered.afterIngress(.udp, []) == .answered)
        #expect(FlowState.answered.afterEgress(.udp, []) == .established)
        #expect(FlowState.established.afterIngress(.udp, []) == .established)
    }

    @Test func `an echo never becomes a conversation that is kept`() {
        #expect(FlowState.opening.afterIngress(.icmp, []).afterEgress(.icmp, []) == .answered)
    }

    @Test func `time-outs are no shorter than the RFCs demand`() {
        for state in Self.all {
            // RFC 5382 REQ-5: established 2 h 4 min, transitory 4 min.
            #expect(state.timeout(.tcp) >= (state.isKept ? 7440 : 240))
            // RFC 4787 REQ-5: 2 min, 5 recommended. RFC 5508 REQ-2: 60 s.
            #expect(state.timeout(.udp) == 300)
            #expect(state.timeout(.icmp) == 60)
            #expect(state.timeout(.icmpv6) == 60)
        }
        #expect(FlowState.established.timeout(.tcp) < TimerWheel.horizon)
    }
}
