import LinuxNetwork
import LinuxSystem
import PacketParse
import Steering

/// The interfaces that lead to the line at home, as the host has them now: the guard stands on each, and the control plane
/// leaves by them.
struct Uplinks: Sendable {
    let links: [Link]
    /// Their own, as far as they are known elsewhere than on the link.
    let addresses: [IPAddress]
    /// What the main table says of the ways through them: to their own networks, and the default routes.
    let routes: [Route]

    static let none = Uplinks(links: [], addresses: [], routes: [])

    private init(links: [Link], addresses: [IPAddress], routes: [Route]) {
        self.links = links
        self.addresses = addresses
        self.routes = routes
    }

    /// The one that is named, or all by which default routes lead, of whichever table; where there is none, by
    /// which any routes lead to a next hop. What has once been one is one still: a default route goes with each bounce of its link.
    ///
    /// - Parameter formerly: names.
    init(
        _ settings: NodeSettings, _ links: [Link], _ routing: Routing, formerly: Set<String>,
        _ netlink: borrowing Netlink
    ) throws(KernelError) {
        let defaults = routing.first.filter { $0.destination.length == 0 }
        var waysOut = routing.waysOut
        let edges = links.filter { [settings.tailnet, settings.vpn].contains($0.name) }
        if settings.uplink == nil, waysOut.isSubset(of: edges.map(\.index)) {
            for family in AddressFamily.allCases {
                let further = try netlink.routes(family).filter { $0.gateway != nil && $0.origin != Rule.forwarder }
                waysOut.formUnion(further.map(\.interfaceIndex))
            }
        }
        var chosen: [Link] = []
        for link in links where link.name != settings.tailnet && !link.isLoopback {
            let isUplink: Bool
            if let named = settings.uplink {
                isUplink = link.name == named
            } else if link.name == settings.vpn {
                isUplink = false
            } else if formerly.contains(link.name) || waysOut.contains(link.index) {
                isUplink = true
            } else {
                isUplink = try Attachment.guards(link, netlink)
            }
            if isUplink { chosen.append(link) }
        }
        // IPv4's where the two families' differ.
        let first = AddressFamily.allCases.lazy.compactMap { family in
            defaults.filter { $0.destination.address.family == family }.min { $0.metric < $1.metric }
        }.first { route in chosen.contains { $0.index == route.interfaceIndex } }
        let preferred = first?.interfaceIndex
        self.links = chosen.filter { $0.index == preferred } + chosen.filter { $0.index != preferred }
        var addresses: [IPAddress] = []
        for link in chosen {
            addresses += try netlink.addresses(of: link).filter { $0.scope == .global && !$0.isTentative }.map(
                \.address)
        }
        self.addresses = addresses
        let indexes = chosen.map(\.index)
        routes = routing.first.filter { indexes.contains($0.interfaceIndex) }
    }
}

extension Uplinks {
    /// Those on which no guard stands.
    func unguarded(_ netlink: borrowing Netlink) throws(KernelError) -> [Link] {
        var bare: [Link] = []
        for link in links where try !Attachment.guards(link, netlink) { bare.append(link) }
        return bare
    }

    /// The table of the control plane's own: the uplinks' routes, and nothing else.
    static let table: UInt32 = 51
    /// The routes again in the table of their own, and at the end of it and of the VPN's a refusal: where all better routes
    /// are gone, nothing falls through to the main table.
    ///
    /// - Parameter vpnTable: Gluetun's or wg-quick's, by which everything else leaves: it has the number of the tunnel's mark.
    func mirror(vpnTable: UInt32) -> [Route] {
        var mirrored: [Route] = []
        for route in routes {
            var copy = route
            copy.table = Self.table
            copy.origin = Rule.forwarder
            // Whatever order they come in: the network that the next hop is on may not be there yet.
            copy.isOnLink = route.gateway != nil
            copy.isShared = false
            // Of one with several next hops the first.
            let isTaken = mirrored.contains { $0.destination == copy.destination && $0.metric == copy.metric }
            if !isTaken { mirrored.append(copy) }
        }
        let refusals = [Self.table, vpnTable].flatMap { table in
            AddressFamily.allCases.map { Route(refusing: $0, table: table, origin: Rule.forwarder) }
        }
        return mirrored + refusals
    }

    /// Rules of who leaves by the uplinks, ahead of Gluetun's and Tailscale's: what bears a mark of the control plane's, and
    /// what has an address of theirs already, or its answers would be refused once the VPN is gone (rp_filter). Between
    /// the two, what is for the tailnet: a service on such an address may be asked from there.
    var rules: [Rule] {
        let marks: [PacketMark] = [.bypass, .control, .question]
        let marked = AddressFamily.allCases.flatMap { family in
            marks.map { Rule(family, preference: 92, mark: $0, .lookup(Self.table), origin: Rule.forwarder) }
        }
        let own = addresses.map { address in
            Rule(
                address.family, preference: 94, source: IPPrefix(host: address), .lookup(Self.table),
                origin: Rule.forwarder)
        }
        return marked + Rule.toTailnet + own
    }
}

extension Route {
    /// Of this node, a dead one, another version.
    static func ours(_ netlink: borrowing Netlink) throws(KernelError) -> [Route] {
        var all: [Route] = []
        for family in AddressFamily.allCases {
            all += try netlink.routes(family, madeBy: Rule.forwarder).filter {
                $0.destination.address.family == family
            }
        }
        return all
    }
}
