package import DataPlane
package import LinuxNetwork
package import LinuxSystem
package import PacketParse

/// The interfaces a node stands between, as the host has them now.
package struct Edges: Sendable {
    package let tailnet: Link
    package let vpn: Link
    package let uplink: Link?
    /// What the loop is to know of the tailnet edge: it answers clients from these addresses.
    package let inside: Interface
    /// And of the vpn edge: clients leave by these addresses.
    package let outside: Interface
    /// All of the node's own addresses on the tailnet.
    package let nodeAddresses: [IPAddress]
}

/// What a node waits for: an edge that is not there, down, or without an address. Words for a person.
package struct MissingEdges: Error, Hashable {
    package let all: [String]
}

extension Edges {
    /// Refuses interfaces that can be no edges, however long one waits.
    static func refuseUnfit(_ settings: NodeSettings, _ netlink: borrowing Netlink) throws(Refusal) {
        var tailnet: Link?
        for (key, name) in [("tailnet", settings.tailnet), ("vpn", settings.vpn)] {
            let link = try refusing(couldNot: "look for \(name)") { () throws(KernelError) in
                try netlink.link(named: name)
            }
            guard let link else { continue }
            if link.isLoopback { throw Refusal(loopback: name, as: key) }
            // The names differ, or the settings would have been refused, but an interface may have several.
            if link.index == tailnet?.index { throw Refusal(edges: settings.tailnet, name, are: link.name) }
            tailnet = link
        }
    }

    /// Looks the edges up, now.
    package static func find(
        _ settings: NodeSettings, _ netlink: borrowing Netlink
    ) throws(KernelError) -> Result<Edges, MissingEdges> {
        let tailnet = try netlink.link(named: settings.tailnet)
        let vpn = try netlink.link(named: settings.vpn)
        var missing: [String] = []
        for (name, link) in [(settings.tailnet, tailnet), (settings.vpn, vpn)] {
            if let link { if !link.isUp { missing.append("\(name) to come up") } } else { missing.append(name) }
        }
        guard let tailnet, let vpn, missing.isEmpty else { return .failure(MissingEdges(all: missing)) }

        let addresses = try netlink.addresses(of: vpn)
            .filter { $0.scope == .global && !$0.isTentative && !$0.isDeprecated }.map(\.address)
        // Without the node's own addresses its own traffic would count as exit traffic.
        let own = try netlink.addresses(of: tailnet).filter { $0.scope == .global }.map(\.address)
        for (name, isBare) in [(tailnet.name, own.isEmpty), (vpn.name, addresses.isEmpty)] where isBare {
            missing.append("an address on \(name)")
        }
        guard missing.isEmpty else { return .failure(MissingEdges(all: missing)) }
        return .success(
            Edges(
                tailnet: tailnet, vpn: vpn, uplink: try uplink(settings, netlink),
                inside: Interface(tailnet, own), outside: Interface(vpn, addresses),
                nodeAddresses: try netlink.addresses(of: tailnet).map(\.address)))
    }

    private static func uplink(_ settings: NodeSettings, _ netlink: borrowing Netlink) throws(KernelError) -> Link? {
        if let name = settings.uplink { return try netlink.link(named: name) }
        for family in [AddressFamily.v4, .v6] {
            if let route = try netlink.defaultRoute(family) { return try netlink.link(index: route.interfaceIndex) }
        }
        return nil
    }
}

extension Interface {
    /// A link as a router uses it: the first of its addresses of each family.
    fileprivate init(_ link: Link, _ addresses: [IPAddress]) {
        self.init(v4: addresses.first { $0.isV4 }, v6: addresses.first { !$0.isV4 }, mtu: Int(link.mtu))
    }
}
