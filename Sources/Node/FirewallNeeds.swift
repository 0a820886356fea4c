import LinuxNetwork
import PacketParse
import Steering

/// What a firewall that drops what it does not know, as Gluetun's, must be told beside a node: in words of iptables.
///
/// Exit traffic needs nothing: it meets no firewall. The rest does, because a packet must pass every filter of the kernel:
/// what Tailscale's chains accept in iptables' old tables, Gluetun's drop in nftables.
package struct FirewallNeeds: Sendable {
    package struct Need: Codable, Equatable, Sendable {
        package let reason: String
        /// Each a line for Gluetun's `/iptables/post-rules.txt`.
        package let rules: [String]
    }

    /// What leaves by the uplink and not by the VPN, and who bears it.
    static let marks: [(mark: PacketMark, bearer: String)] = [
        (.bypass, "tailscaled's own packets"),
        (.control, "packets of the control plane that forwarder marks"),
        (.question, "forwarder's questions for Tailscale's names"),
    ]

    package let needs: [Need]

    package init(_ settings: NodeSettings) {
        let both = ["iptables", "ip6tables"]
        let control = Self.marks.map { mark in
            Need(
                reason: "\(mark.bearer) leave by the uplink, where only the VPN's own do otherwise",
                rules: both.map { "\($0) -A OUTPUT -m mark --mark \(mark.mark) -j ACCEPT" })
        }
        let node = Need(
            reason: "clients reach the node itself, also where Tailscale's own accept stands in another filter",
            rules: both.map { "\($0) -A INPUT -i \(settings.tailnet) -j ACCEPT" })
        // No broader than the networks named: this drop also holds clients back while no node has been here yet.
        let local = settings.local.map { prefix in
            let program = prefix.address.family == .v4 ? "iptables" : "ip6tables"
            return Need(
                reason: "clients reach \(prefix), which is kept local, and are answered",
                rules: [
                    "\(program) -A FORWARD -i \(settings.tailnet) -d \(prefix) -j ACCEPT",
                    "\(program) -A FORWARD -o \(settings.tailnet) -s \(prefix) -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
                ])
        }
        needs = control + [node] + local
    }
}
