internal import CNetlink
import Glibc
package import LinuxSystem
package import PacketParse

/// A unicast route: packets to `destination` leave by a link, to a next hop or straight to who is asked.
package struct Route: Hashable, Sendable {
    package var destination: IPPrefix
    /// Nil where the destination is reached without a next hop.
    package var gateway: IPAddress?
    package var interfaceIndex: Int32
    /// The smaller wins. 0 lets the kernel choose, which makes IPv6 routes 1024.
    package var metric: UInt32 = 0
    package var table: UInt32 = Route.main
    /// One of several next hops of one route, over which the kernel spreads flows. Only read: routes are not made so.
    package var isShared = false

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

    /// One for each next hop; none for what is not a unicast route: unreachable, local and cached routes.
    static func all(in reply: NetlinkReply) -> [Route] {
        guard let header = reply.header(rtmsg.self), Int(header.rtm_type) == RTN_UNICAST,
            header.rtm_flags & UInt32(RTM_F_CLONED) == 0
        else { return [] }
        let attributes = reply.attributes(after: rtmsg.self)
        let family: AddressFamily = CInt(header.rtm_family) == AF_INET ? .v4 : .v6
        let address = attributes.octets(Int(RTA_DST.rawValue)).flatMap(IPAddress.init(octets:))
        guard
            let destination = IPPrefix(
                address ?? IPPrefix.everything(family).address, length: Int(header.rtm_dst_len))
        else { return [] }
        func route(_ interfaceIndex: Int32, _ hop: NetlinkAttributes) -> Route {
            Route(
                to: destination, via: hop.octets(Int(RTA_GATEWAY.rawValue)).flatMap(IPAddress.init(octets:)),
                interfaceIndex: interfaceIndex, metric: attributes.integer(Int(RTA_PRIORITY.rawValue)) ?? 0,
                table: attributes.integer(Int(RTA_TABLE.rawValue)) ?? UInt32(header.rtm_table))
        }
        if let interfaceIndex = attributes.integer(Int(RTA_OIF.rawValue), Int32.self) {
            return [route(interfaceIndex, attributes)]
        }
        let hops = attributes.octets(Int(RTA_MULTIPATH.rawValue)).map(nextHops) ?? []
        return hops.map { index, hop in
            var route = route(index, hop)
            route.isShared = hops.count > 1
            return route
        }
    }

    /// The hops of a multi-path route, each a `struct rtnexthop` and attributes of its own, by its length.
    private static func nextHops(_ octets: [UInt8]) -> [(index: Int32, attributes: NetlinkAttributes)] {
        let size = MemoryLayout<rtnexthop>.size
        var hops: [(Int32, NetlinkAttributes)] = []
        var rest = octets[...]
        while rest.count >= size {
            let hop = unsafe rest.withUnsafeBytes { unsafe $0.loadUnaligned(as: rtnexthop.self) }
            let length = Int(hop.rtnh_len)
            guard (size...rest.count).contains(length) else { break }
            hops.append((hop.rtnh_ifindex, NetlinkAttributes(octets: Array(rest.prefix(length).dropFirst(size)))))
            // Each begins at a multiple of four.
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return hops
    }
}

extension Netlink {
    /// The unicast routes of a family, of all tables; a multi-path route is one for each of its next hops.
    package func routes(_ family: AddressFamily) throws(KernelError) -> [Route] {
        var header = rtmsg()
        header.rtm_family = UInt8(family.rawValue)
        return try socket.exchange(NetlinkRequest("RTM_GETROUTE", RTM_GETROUTE, "routes", flags: NLM_F_DUMP, header))
            .flatMap(Route.all)
    }

    /// The default route of the main table with the smallest metric; of several next hops the first.
    package func defaultRoute(_ family: AddressFamily) throws(KernelError) -> Route? {
        try routes(family).filter { $0.destination.length == 0 && $0.table == Route.main }
            .min { $0.metric < $1.metric }
    }

    /// Adds a route; EEXIST when there is one to the same destination with the same metric.
    package func add(_ route: Route) throws(KernelError) {
        var header = header(route)
        header.rtm_protocol = UInt8(RTPROT_STATIC)
        // IPv4 takes a next hop only where it may lie further away than the link itself; IPv6 ignores the scope.
        header.rtm_scope = UInt8((route.gateway == nil ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE).rawValue)
        try change("RTM_NEWROUTE", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route, header)
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
        header.rtm_type = UInt8(RTN_UNICAST)
        return header
    }

    private func change(
        _ call: StaticString, _ type: Int, _ flags: CInt, _ route: Route, _ header: rtmsg
    ) throws(KernelError) {
        var request = NetlinkRequest(call, type, "\(route.destination)", flags: flags, header)
        if route.destination.length > 0 { request.put(Int(RTA_DST.rawValue), route.destination.address.octets) }
        if let gateway = route.gateway { request.put(Int(RTA_GATEWAY.rawValue), gateway.octets) }
        request.put(Int(RTA_OIF.rawValue), UInt32(bitPattern: route.interfaceIndex))
        if route.metric > 0 { request.put(Int(RTA_PRIORITY.rawValue), route.metric) }
        request.put(Int(RTA_TABLE.rawValue), route.table)
        try socket.exchange(request)
    }
}
