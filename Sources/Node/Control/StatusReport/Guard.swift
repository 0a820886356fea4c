package import Steering

// How the control plane is kept apart.

extension StatusReport {
    /// By what tailscaled's control plane is known: our programs' mark, or its own alone.
    package enum ControlPlaneMarking: String, Codable, Sendable { case ebpf, tailscaled }

    /// What left by the uplinks since the packet loop was started, and what was kept from it.
    package struct Guard: Codable, Equatable, Sendable {
        package typealias Tally = GuardCount.Tally

        package var mode: GuardMode
        /// Where it stands.
        package var interfaces: [String]
        /// By class: control, encapsulation, management, client, routed.
        package var classes: [String: Tally] = [:]
        /// By reason; of a guard that observes, of packets that left.
        package var refused: [String: Tally] = [:]
        /// What a guard that observes let pass.
        package var leaked = Tally()
    }
}
