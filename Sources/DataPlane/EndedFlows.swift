/// What the flows that have ended were like. All that is known of them afterwards; whose they were is not.
package struct EndedFlows: Sendable, BitwiseCopyable {
    /// Both ways together.
    package private(set) var bytes = Distribution(
        bounds: [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000])
    /// From the first packet to the last, not to the end that a time-out makes.
    package private(set) var seconds = Distribution(bounds: [1, 10, 60, 300, 3_600, 86_400])
    /// Bytes a second over that time; of a flow that was over within a second, its bytes.
    package private(set) var bytesPerSecond = Distribution(
        bounds: [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000])

    package init() {}

    mutating func record(_ flow: Flow) {
        let octets = flow.egressBytes &+ flow.ingressBytes
        let duration = UInt64(flow.lastPacket &- flow.firstEgress)
        bytes.record(octets)
        seconds.record(duration)
        bytesPerSecond.record(octets / max(1, duration))
    }
}
