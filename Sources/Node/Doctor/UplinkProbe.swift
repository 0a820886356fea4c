import LinuxNetwork
import LinuxSystem

extension Probe {
    static let uplink = Probe(
        "uplink", "Which interface carries the tunnels, and by which default route?", worst: .warning
    ) { surroundings throws(KernelError) in
        let settings = surroundings.settings
        if let named = settings.uplink, surroundings.edges.uplink == nil {
            return .warning(
                "no interface is called \(named)",
                remedy: "leave --uplink out, so that the default route decides, or name one that is there")
        }
        var defaults: [DefaultRoute] = []
        for family in AddressFamily.allCases {
            // A kernel without IPv6 answers for IPv6 with what it has.
            let routes = try surroundings.netlink.routes(family).filter { $0.destination.address.family == family }
            defaults += try DefaultRoute.all(in: routes, surroundings.netlink)
        }
        return judge(
            defaults.filter { $0.table == Route.main }, elsewhere: defaults.filter { $0.table != Route.main },
            named: settings.uplink, tailnet: surroundings.edges.tailnet?.name ?? settings.tailnet,
            vpn: surroundings.edges.vpn?.name ?? settings.vpn)
    }

    /// - Parameters:
    ///   - routes: of the main table.
    ///   - elsewhere: of others.
    static func judge(
        _ routes: [DefaultRoute], elsewhere: [DefaultRoute] = [], named: String?, tailnet: String, vpn: String
    ) -> Finding {
        // What leaves by the edges may bear no mark.
        if let named, let route = (routes + elsewhere).first(where: { ![named, tailnet, vpn].contains($0.interface) }) {
            let way =
                route.isShared ? "replace default via GATEWAY dev \(named)" : "delete default dev \(route.interface)"
            return .warning(
                "\(named) is named, and \(route.interface) has a default route and no guard",
                remedy: "leave --uplink out, and the guard stands on all that have one; "
                    + "or: \(route.family.command) route \(way)\(route.metricWords)")
        }
        guard !routes.isEmpty else {
            return .warning(
                "the main table has no default route, so the tunnels themselves may reach nobody",
                remedy: "ip route add default via GATEWAY dev \(named ?? "eth0")")
        }
        if let route = routes.first(where: { $0.interface == tailnet }) {
            return .warning(
                "\(route) is by the tailnet edge, and what comes in there must leave elsewhere",
                remedy: "\(route.family.command) route delete default dev \(tailnet)")
        }
        if let route = routes.first(where: { !$0.isComplete }) {
            return .note(
                "\(route) has no gateway, so only neighbours can be reached",
                remedy: "\(route.family.command) route replace default via GATEWAY dev \(route.interface)"
                    + route.metricWords)
        }
        let told = routes.map(\.description).joined(separator: ", ")
        if let named, !routes.contains(where: { $0.interface == named }) {
            return .note(
                "\(named) is named, and the default routes leave by others: \(told)",
                remedy: "name the uplink that is used: --uplink \(routes[0].interface)")
        }
        for family in AddressFamily.allCases {
            // The kernel lists those of one metric in the order in which it asks them, and this keeps it.
            let several = routes.filter { $0.family == family }.sorted { $0.metric < $1.metric }
            guard several.count > 1 else { continue }
            if several[0].isShared {
                let hop = several.first { $0.isShared && $0.interface == named } ?? several[0]
                return .note(
                    "one default route has several next hops, over which the kernel spreads the tunnels: \(told)",
                    remedy: "choose one: \(hop.family.command) route replace default via GATEWAY dev \(hop.interface)"
                        + hop.metricWords)
            }
            let decides =
                several[0].metric == several[1].metric
                ? "of several of one metric the first" : "of several the smallest metric"
            return .note(
                "\(decides) decides: \(told)",
                remedy: "if another is meant: \(family.command) route delete default dev \(several[0].interface) "
                    + "metric \(several[0].metric)")
        }
        if named == nil, let other = routes.first(where: { $0.interface != routes[0].interface }) {
            return .note(
                "IPv4 and IPv6 leave by different interfaces, and \(routes[0].interface) is taken as the uplink: \(told)",
                remedy: "name the one that carries the tunnels: --uplink \(other.interface), or the one that is taken")
        }
        return .ok(told)
    }
}

/// A default route, by what a person knows of it.
struct DefaultRoute: CustomStringConvertible {
    let family: AddressFamily
    let interface: String
    let metric: UInt32
    /// It names a next hop, or needs none.
    let isComplete: Bool
    /// One of several next hops of one route.
    var isShared = false
    var table = Route.main

    /// As they end a command.
    var metricWords: String {
        (metric > 0 ? " metric \(metric)" : "") + (table == Route.main ? "" : " table \(table)")
    }

    var description: String {
        "default \(family == .v4 ? "IPv4" : "IPv6") route by \(interface)" + (metric > 0 ? " (metric \(metric))" : "")
    }
}

extension DefaultRoute {
    /// Those among routes that lead everywhere, ours apart.
    static func all(in routes: [Route], _ netlink: borrowing Netlink) throws(KernelError) -> [DefaultRoute] {
        var found: [DefaultRoute] = []
        for route in routes
        where route.destination.length == 0 && !route.isUnreachable && route.origin != Rule.forwarder {
            guard let link = try netlink.link(index: route.interfaceIndex) else { continue }
            found.append(
                DefaultRoute(
                    family: route.destination.address.family, interface: link.name, metric: route.metric,
                    isComplete: route.gateway != nil || !link.isEthernet, isShared: route.isShared, table: route.table))
        }
        return found
    }
}

extension AddressFamily {
    /// How ip(8) is told the family.
    var command: String { self == .v4 ? "ip" : "ip -6" }
}
