package import FoundationEssentials

// What is left of the cap, and what waits because of it.

extension StatusReport {
    /// As `forwarder quota` tells it, of the last look, which is a second ago at most.
    package struct Cap: Codable, Equatable, Sendable {
        /// None until the next period where the cap was lifted.
        package var limitBytes: UInt64?
        package var usedBytes: UInt64
        package var remainingBytes: UInt64?
        /// As in the settings; none before the first begins.
        package var stage: String?
        /// For clients, each direction for itself: 0 once they are stopped, none while they are not limited.
        package var rateBitPerS: UInt64?
        package var periodEnd: Date
        /// By `egress` and `ingress`.
        package var queue: [String: Queue] = [:]
    }

    /// Clients' packets that a rate holds up, one way.
    package struct Queue: Codable, Equatable, Sendable {
        package var waitingPackets = 0
        package var waitingBytes = 0
        /// How long those waited that left of late.
        package var delayMeanMs = 0.0
        /// In this second and the one before.
        package var delayLongestMs = 0.0
        /// Packets that told their receiver of congestion (ECN), since the start.
        package var marked: UInt64 = 0
    }
}
