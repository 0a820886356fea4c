/// Names that are asked over the uplink: those of Tailscale's infrastructure, and what a person or tailscaled adds.
package struct DirectNames: Equatable, Sendable {
    /// With everything below them.
    private let trees: Set<DomainName>
    /// Only they themselves: nobody but the control server says that they are relays.
    package var relays: Set<DomainName> = []
    package var loginServer: DomainName?

    package init(below trees: [DomainName]) { self.trees = Set(trees) }

    /// What tailscaled itself asks for: control and login, the API by which an OAuth client gets its key, logs under their
    /// name of today and of old, updates. Not all of tailscale.com: its web site is for browsers, whose lookups belong to
    /// the VPN. Not ts.net either: names there are answered by tailscaled itself or, of other people, are web sites.
    private static let infrastructure: Set<DomainName> = Set(
        [
            "controlplane.tailscale.com", "login.tailscale.com", "api.tailscale.com", "log.tailscale.com",
            "log.tailscale.io", "pkgs.tailscale.com",
        ].compactMap { DomainName($0) })

    /// Relays, `derp1.tailscale.com` to `derp28f.tailscale.com` and more each year: asked for before a map of them is known.
    private static let relayDomain = DomainName("tailscale.com")
    private static let relayPrefix = Array("derp".utf8)

    package func contains(_ name: DomainName) -> Bool {
        if Self.infrastructure.contains(name) || relays.contains(name) || name == loginServer { return true }
        if name.firstLabel.starts(with: Self.relayPrefix), name.parent == Self.relayDomain { return true }
        guard !trees.isEmpty else { return false }
        var tree: DomainName? = name
        while let here = tree {
            if trees.contains(here) { return true }
            tree = here.parent
        }
        return false
    }
}
