package import FoundationEssentials
package import LinuxNetwork

extension StatusReport {
    /// What is known of the VPN's tunnel, and whether anything comes back out of it.
    package struct VPN: Codable, Equatable, Sendable {
        package enum State: String, Codable, CaseIterable, Sendable { case up, stale, down }

        package var state: State
        /// When it became that.
        package var since: Date
        /// Why it is not up.
        package var because: String?
        /// Who tells what follows; none where nobody does.
        package var wireguard: WireGuardDevice.Source?
        package var lastHandshake: Date?
        package var receivedBytes: UInt64?
        package var sentBytes: UInt64?
        /// By which the VPN's own packets are known on the uplink, and where they go.
        package var fwmark: UInt32?
        package var endpoints: [String] = []
    }
}
