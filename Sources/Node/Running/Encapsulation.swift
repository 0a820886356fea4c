import LinuxNetwork

/// What tells the VPN's own packets from all others on the uplink: each of these by itself is enough.
struct Encapsulation: Hashable, Sendable {
    /// Compared with all 32 bits; none is zero, which everybody's packets bear.
    let marks: Set<UInt32>
    /// Where they go, by UDP or, for some OpenVPN, by TCP.
    let endpoints: [Endpoint]

    /// What the settings say wins over what the interface tells.
    ///
    /// - Parameter device: nil where the interface tells nothing.
    init(_ settings: TunnelSettings, _ device: WireGuardDevice?) {
        // An interface that tells of no mark sets none, and then the usual one is nobody's.
        let mark = settings.mark ?? device?.mark ?? TunnelSettings.usualMark
        marks = mark == 0 ? [] : [mark]
        endpoints = settings.endpoint.map { [$0] } ?? device?.peers.compactMap(\.endpoint) ?? []
    }

    /// As it is told now.
    init(_ settings: NodeSettings, _ edges: Edges) {
        self.init(settings.tunnel, edges.vpn.flatMap(WireGuardDevice.read))
    }
}
