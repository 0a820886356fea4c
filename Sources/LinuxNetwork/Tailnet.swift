package import PacketParse

// Tailscale's own part of the address space.

extension IPPrefix {
    /// From which Tailscale gives addresses to nodes. A provider may use the first, too, for lines of its own.
    package static let tailnets = ["100.64.0.0/10", "fd7a:115c:a1e0::/48"].compactMap { IPPrefix($0) }
}

extension IPAddress {
    /// By which each node reaches its own tailscaled: names and more.
    package static let tailscaleServices = ["100.100.100.100", "fd7a:115c:a1e0::53"].compactMap { IPAddress($0) }
}
