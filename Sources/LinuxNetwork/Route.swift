internal import CNetlink
import Glibc
package import LinuxSystem
package import PacketParse

/// A route: packets to `destination` leave by a link, to a next hop or straight to who is asked; or they are refused.
package struct Route: Hashable, Sendable {
    package var destination: IPPrefix
    /// Nil where the destination is reached without a next hop.
    package var gateway: IPAddress?
    /// The next hop is on the link, though no prefix of the link's says so.
    package var isOnLink = false
    /// 0 of a route that refuses.
    package var interfaceIndex: Int32
    /// The address that the host uses of its own for what leaves this way; nil lets the kernel choose.
    package var source: IPAddress?
    /// The smaller wins. 0 lets the kernel choose, which makes IPv6 routes 1024.
    package var metric: UInt32 = 0
    package var table: UInt32 = Route.main
    /// One of several next hops of one route, over which the kernel spreads flows. Only read: routes are not made so.
    package var isShared = false
    /// Refuses what it matches: its sender is told that the network is unreachable.
    package var isUnreachable = false
    /// Who made the route (`rt_protos`): the kernel keeps it and means nothing by it.
    package var origin = Route.byHand

    /// Whether a packet's way may begin with it: it is of the main table, and leads everywhere or to whom is reached without
    /// a next hop.
    package var isFirst: Bool { table == Self.main && (destination.length == 0 || gateway == nil) }

    /// The origin of routes that a person or a script makes; ip(8) says "boot" where none is named.
    package static let byHand = UInt8(RTPROT_STATIC)
    /// The largest metric: any other route to the same destination wins.
    package static let lastResort = UInt32.max

    /// The table that packets are routed by when no rule says otherwise.
    package static let main = UInt32(RT_TABLE_MAIN.rawValue)

    /// As ip(8) says it.
    static func name(ofTable number: UInt32) -> String {
        switch number {
        case main: "main"
        case local: "local"
        case UInt32(RT_TABLE_DEFAULT.rawValue): "default"
        default: "\(number)"
        }
    }

    /// The table of the host's own addresses, which the kernel keeps.
    package static let local = UInt32(RT_TABLE_LOCAL.rawValue)

    package init(
        to destination: IPPrefix, via gateway: IPAddress? = nil, interfaceIndex: Int32, metric: UInt32 = 0,
        table: UInt32 = Route.main
    ) {
        self.destination = destination
        self.gateway = gateway
        self.interfaceIndex = interfaceIndex
        self.metric = metric
        self.table = table
    }

    /// Refuses everything in a table that has no better route.
    package init(refusing family: AddressFamily, table: UInt32, origin: UInt8) {
        self.init(to: .everything(family), interfaceIndex: 0, metric: Self.lastResort, table: table)
        self.origin = origin
        isUnreachable = true
    }

    /// One for each next hop; none for what is neither unicast nor unreachable: local and cached routes.
    static func all(in reply: NetlinkReply) -> [Route] {
        guard let header = reply.header(rtmsg.self), [RTN_UNICAST, RTN_UNREACHABLE].contains(Int(header.rtm_type)),
            header.rtm_flags & UInt32(RTM_F_CLONED) == 0
        else { return [] }
        let attributes = reply.attributes(after: rtmsg.self)
        let family: AddressFamily = CInt(header.rtm_family) == AF_INET ? .v4 : .v6
        let address = attributes.octets(Int(RTA_DST.rawValue)).flatMap(IPAddress.init(octets:))
        guard
            let destination = IPPrefix(
                address ?? IPPrefix.everything(family).address, length: Int(header.rtm_dst_len))
        else { return [] }
        func route(_ interfaceIndex: Int32, _ hop: NetlinkAttributes, _ flags: UInt32) -> Route {
            var route = Route(
                to: destination, via: hop.octets(Int(RTA_GATEWAY.rawValue)).flatMap(IPAddress.init(octets:)),
                interfaceIndex: interfaceIndex, metric: attributes.integer(Int(RTA_PRIORITY.rawValue)) ?? 0,
                table: attributes.integer(Int(RTA_TABLE.rawValue)) ?? UInt32(header.rtm_table))
            route.isOnLink = flags & UInt32(RTNH_F_ONLINK) != 0
            route.source = attributes.octets(Int(RTA_PREFSRC.rawValue)).flatMap(IPAddress.init(octets:))
            route.origin = header.rtm_protocol
            return route
        }
        if Int(header.rtm_type) == RTN_UNREACHABLE {
            // IPv6 says that it leaves by loopback.
            var refusal = route(0, attributes, 0)
            refusal.isUnreachable = true
            return [refusal]
        }
        if let interfaceIndex = attributes.integer(Int(RTA_OIF.rawValue), Int32.self) {
            return [route(interfaceIndex, attributes, header.rtm_flags)]
        }
        let hops = attributes.octets(Int(RTA_MULTIPATH.rawValue)).map(nextHops) ?? []
        return hops.map { index, hop, flags in
            var route = route(index, hop, flags)
            route.isShared = hops.count > 1
            return route
        }
    }

    /// The hops of a multi-path route, each a `struct rtnexthop` and attributes of its own, by its length.
    private static func nextHops(_ octets: [UInt8]) -> [(index: Int32, attributes: NetlinkAttributes, flags: UInt32)] {
        let size = MemoryLayout<rtnexthop>.size
        var hops: [(Int32, NetlinkAttributes, UInt32)] = []
        var rest = octets[...]
        while rest.count >= size {
            let hop = unsafe rest.withUnsafeBytes { unsafe $0.loadUnaligned(as: rtnexthop.self) }
            let length = Int(hop.rtnh_len)
            guard (size...rest.count).contains(length) else { break }
            let attributes = NetlinkAttributes(octets: Array(rest.prefix(length).dropFirst(size)))
            hops.append((hop.rtnh_ifindex, attributes, UInt32(hop.rtnh_flags)))
            // Each begins at a multiple of four.
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return hops
    }
}

extension Netlink {
    /// The routes of a family, of all tables, those that refuse among them; a multi-path route is one for each of its next
    /// hops.
    package func routes(_ family: AddressFamily) throws(KernelError) -> [Route] { try routes(family) { _ in true } }

    /// Those that somebody has made. A host may have a hundred thousand: the rest is passed over unread.
    package func routes(_ family: AddressFamily, madeBy origin: UInt8) throws(KernelError) -> [Route] {
        try routes(family) { $0.rtm_protocol == origin }
    }

    /// Those that are first (`Route.isFirst`), and of all tables the default routes and those that somebody has made: in one list,
    /// for the kernel goes through all that it has for each.
    package func firstRoutes(
        _ family: AddressFamily, andMadeBy origin: UInt8
    ) throws(KernelError) -> [Route] {
        // IPv6 says of all that they may lie further away than the link.
        let near = UInt8(RT_SCOPE_LINK.rawValue)
        let listed = try routes(family) {
            $0.rtm_protocol == origin || $0.rtm_dst_len == 0 || $0.rtm_scope == near
                || CInt($0.rtm_family) == AF_INET6
        }
        return listed.filter { $0.origin == origin || $0.isFirst || $0.destination.length == 0 }
    }

    private func routes(
        _ family: AddressFamily, where isWanted: (rtmsg) -> Bool
    ) throws(KernelError) -> [Route] {
        var header = rtmsg()
        header.rtm_family = UInt8(family.rawValue)
        return try socket.exchange(NetlinkRequest("RTM_GETROUTE", RTM_GETROUTE, "routes", flags: NLM_F_DUMP, header))
            .filter { $0.header(rtmsg.self).map(isWanted) == true }.flatMap(Route.all)
    }

    /// The interface by which the host itself would send to an address now; nil where it would not.
    package func way(to address: IPAddress) throws(KernelError) -> Int32? {
        var header = rtmsg()
        header.rtm_family = UInt8(address.family.rawValue)
        header.rtm_dst_len = address.isV4 ? 32 : 128
        var request = NetlinkRequest("RTM_GETROUTE", RTM_GETROUTE, "\(address)", header)
        request.put(Int(RTA_DST.rawValue), address.octets)
        do throws(KernelError) {
            return try socket.exchange(request).first?.attributes(after: rtmsg.self).integer(Int(RTA_OIF.rawValue))
        } catch {
            guard [ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, EAFNOSUPPORT].contains(error.errno.rawValue) else {
                throw error
            }
            return nil
        }
    }

    /// Adds a route; EEXIST when there is one to the same destination with the same metric.
    package func add(_ route: Route) throws(KernelError) { try put(route, NLM_F_EXCL) }

    /// Adds a route, in place of one to the same destination with the same metric: a packet meets the old one or the new one.
    package func replace(_ route: Route) throws(KernelError) { try put(route, NLM_F_REPLACE) }

    private func put(_ route: Route, _ manner: CInt) throws(KernelError) {
        var header = header(route)
        header.rtm_protocol = route.origin
        // IPv4 takes a next hop only where it may lie further away than the link itself; IPv6 ignores the scope.
        let isNear = route.gateway == nil && !route.isUnreachable
        header.rtm_scope = UInt8((isNear ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE).rawValue)
        try change("RTM_NEWROUTE", RTM_NEWROUTE, NLM_F_CREATE | manner, route, header)
    }

    /// Deletes the route that is the same in all that is named here, whoever made it; ESRCH when there is none.
    package func delete(_ route: Route) throws(KernelError) {
        var header = header(route)
        header.rtm_scope = UInt8(RT_SCOPE_NOWHERE.rawValue)  // stands for any
        try change("RTM_DELROUTE", RTM_DELROUTE, 0, route, header)
    }

    private func header(_ route: Route) -> rtmsg {
        var header = rtmsg()
        header.rtm_family = UInt8(route.destination.address.family.rawValue)
        header.rtm_dst_len = UInt8(clamping: route.destination.length)
        header.rtm_type = UInt8(route.isUnreachable ? RTN_UNREACHABLE : RTN_UNICAST)
        header.rtm_flags = route.isOnLink ? UInt32(RTNH_F_ONLINK) : 0
        return header
    }

    private func change(
        _ call: StaticString, _ type: Int, _ flags: CInt, _ route: Route, _ header: rtmsg
    ) throws(KernelError) {
        var request = NetlinkRequest(call, type, "\(route.destination)", flags: flags, header)
        if route.destination.length > 0 { request.put(Int(RTA_DST.rawValue), route.destination.address.octets) }
        if let gateway = route.gateway { request.put(Int(RTA_GATEWAY.rawValue), gateway.octets) }
        if !route.isUnreachable { request.put(Int(RTA_OIF.rawValue), UInt32(bitPattern: route.interfaceIndex)) }
        if let source = route.source { request.put(Int(RTA_PREFSRC.rawValue), source.octets) }
        if route.metric > 0 { request.put(Int(RTA_PRIORITY.rawValue), route.metric) }
        request.put(Int(RTA_TABLE.rawValue), route.table)
        try socket.exchange(request)
    }
}

extension Route: CustomStringConvertible {
    /// As ip-route(8) takes it, but for the interface, whose name is not known here.
    package var description: String {
        var words = [destination.address.isV4 ? "ip route" : "ip -6 route"]
        words.append((isUnreachable ? "unreachable " : "") + (destination.length == 0 ? "default" : "\(destination)"))
        if let gateway { words.append("via \(gateway)") }
        if metric > 0 { words.append("metric \(metric)") }
        words.append("table \(Route.name(ofTable: table))")
        return words.joined(separator: " ")
    }
}
