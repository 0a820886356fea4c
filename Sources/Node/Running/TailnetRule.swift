import LinuxNetwork
import PacketParse

extension Rule {
    /// From which Tailscale gives addresses to clients.
    static let tailnets = ["100.64.0.0/10", "fd7a:115c:a1e0::/48"].compactMap { IPPrefix($0) }

    /// Sends to the tailnet what the node itself, or a network behind it, answers there: by tailscaled's own table, which
    /// names each peer. Ahead of Gluetun's rules, for 101 leads everything into the VPN, 99 perhaps to the uplink.
    ///
    /// An address that is no peer's is left to the rules behind, and so is everything where there is no such table: it may
    /// be a server of the VPN's, whose network these may be, too.
    static let toTailnet = tailnets.map { tailnet in
        Rule(
            tailnet.address.family, preference: 93, destination: tailnet, .lookup(tailscaledTable), origin: forwarder)
    }

    /// The number is tailscaled's (wgengine/router).
    private static let tailscaledTable: UInt32 = 52
}
