import DataPlane
import LinuxNetwork
import LinuxSystem
import PacketParse

/// The interfaces a node stands between, as the host has them now.
struct Edges: Sendable {
    let tailnet: Link?
    let vpn: Link?
    let uplinks: Uplinks
    /// The first of them.
    var uplink: Link? { uplinks.links.first }
    /// What the loop is to know of the tailnet edge: it answers clients from these addresses.
    let inside: Interface
    /// And of the vpn edge: clients leave by these addresses.
    let outside: Interface
    /// All of the node's own addresses on the tailnet.
    let nodeAddresses: [IPAddress]
    /// What a node still waits for, for a person: an edge that is not there, down, or without an address.
    let missing: [String]
    /// Whether no interface is left that lives: none is in a namespace that its owner has left. tailscaled may be left in it
    /// as we are, and the kernel's own tunnels (sit0, tunl0) are everywhere, down and without an address.
    let isAbandoned: Bool
}

extension Edges {
    static let none = Edges(
        tailnet: nil, vpn: nil, uplinks: .none, inside: .none, outside: .none, nodeAddresses: [], missing: [],
        isAbandoned: false)

    /// Why these can be no edges, however long one waits.
    func unfit(_ settings: NodeSettings) -> Refusal? {
        for (key, name, link) in [("tailnet", settings.tailnet, tailnet), ("vpn", settings.vpn, vpn)] {
            guard let link else { continue }
            if let refusal = unfit(link, named: name, as: key) { return refusal }
        }
        return nil
    }

    /// Why an interface can be no edge.
    func unfit(_ link: Link, named name: String, as key: String) -> Refusal? {
        if link.isLoopback { return Refusal(loopback: name, as: key) }
        return link.name == name ? nil : Refusal(otherName: name, of: link.name, as: key)
    }

    /// Looks them up, now.
    ///
    /// - Parameter uplinks: names of those that were uplinks before.
    init(
        _ settings: NodeSettings, _ routing: Routing, formerly uplinks: Set<String> = [], _ netlink: borrowing Netlink
    ) throws(KernelError) {
        let links = try netlink.links()
        // By the kernel, which also knows an interface's other names.
        tailnet = try netlink.link(named: settings.tailnet)
        vpn = try netlink.link(named: settings.vpn)
        self.uplinks = try Uplinks(settings, links, routing, formerly: uplinks, netlink)
        let ports = Side.allCases.map(\.portName)
        let ownIndex = tailnet?.index
        let others = links.filter { !$0.isLoopback && !ports.contains($0.name) && $0.index != ownIndex }
        var isAbandoned = !others.contains(where: \.isUp)
        for link in others where isAbandoned { isAbandoned = try netlink.addresses(of: link).isEmpty }
        self.isAbandoned = isAbandoned

        func addresses(_ link: Link?) throws(KernelError) -> [InterfaceAddress] {
            guard let link else { return [] }
            return try netlink.addresses(of: link)
        }
        let own = try addresses(tailnet)
        nodeAddresses = own.map(\.address)
        inside = Interface(tailnet, own.filter { $0.scope == .global })
        outside = Interface(
            vpn, try addresses(vpn).filter { $0.scope == .global && !$0.isTentative && !$0.isDeprecated })

        var missing: [String] = []
        for (name, link) in [(settings.tailnet, tailnet), (settings.vpn, vpn)] {
            if let link { if !link.isUp { missing.append("\(name) to come up") } } else { missing.append(name) }
        }
        if missing.isEmpty {
            // Without the node's own addresses its own traffic would count as exit traffic.
            if inside.isBare { missing.append("an address on \(settings.tailnet)") }
            if outside.isBare { missing.append("an address on \(settings.vpn)") }
        }
        self.missing = missing
    }
}

extension Interface {
    static let none = Interface(v4: nil, v6: nil, mtu: 0)

    /// A link as a router uses it: the first of its addresses of each family.
    fileprivate init(_ link: Link?, _ addresses: [InterfaceAddress]) {
        let addresses = addresses.map(\.address)
        self.init(
            v4: addresses.first { $0.isV4 }, v6: addresses.first { !$0.isV4 }, mtu: link.map { Int($0.mtu) } ?? 0)
    }

    fileprivate var isBare: Bool { v4 == nil && v6 == nil }
}
