// What was forwarded, and what was answered in its place.

extension StatusReport {
    /// What went one way since the start.
    package struct Traffic: Codable, Equatable, Sendable {
        package var packets: UInt64 = 0
        package var bytes: UInt64 = 0
        /// Of the packets, those that carried several segments at once.
        package var superPackets: UInt64 = 0
    }

    package struct Forwarded: Codable, Equatable, Sendable {
        package var egress = Traffic()
        package var ingress = Traffic()
        /// From one client to another by way of the exit address.
        package var hairpin = Traffic()
        /// Packets that left in fragments because the next hop takes no longer ones.
        package var fragmented: UInt64 = 0
    }

    /// ICMP errors of the node's own, about packets that it did not forward.
    package struct Errors: Codable, Equatable, Sendable {
        /// By kind; those that never happened may be missing.
        package var sent: [String: UInt64] = [:]
        /// Those that the limits on such errors forbade.
        package var suppressed: UInt64 = 0
    }
}
