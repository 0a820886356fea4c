import LinuxSystem
import PacketParse
import Testing

@testable import LinuxNetwork

@Suite(.enabled(if: isRoot, needsRoot))
struct RouteTests {
    /// What `ip -j route` says of a route; `default` stands for the prefix of length 0.
    private struct Oracle: Decodable {
        let dst: String
        let gateway: String?
        let dev: String?
        let metric: UInt32?
        let type: String?

        static func unicast(_ family: AddressFamily, table: String) throws -> Set<String> {
            let option = family == .v4 ? "-4" : "-6"
            let routes = try answer("ip -j \(option) route show table \(table)", as: [Oracle].self)
            return Set(routes.filter { $0.type ?? "unicast" == "unicast" }.map(\.words))
        }

        private var words: String { "\(dst) \(gateway ?? "") \(dev ?? "") \(metric ?? 0)" }
    }

    private func words(_ routes: [Route], _ link: Link) -> Set<String> {
        Set(
            routes.map {
                let whole = $0.destination.length == ($0.destination.address.isV4 ? 32 : 128)
                let destination = whole ? $0.destination.address.description : $0.destination.description
                let shown = $0.destination.length == 0 ? "default" : destination
                let device = $0.interfaceIndex == link.index ? link.name : "?"
                return "\(shown) \($0.gateway.map(\.description) ?? "") \(device) \($0.metric)"
            })
    }

    private func linkWithAddresses(_ netlink: borrowing Netlink) throws -> Link {
        try makeVethPair()
        try answer("ip link set right up addrgenmode none")
        try answer("ip link set left up addrgenmode none")
        try answer("ip addr add 10.0.0.2/24 dev left")
        try answer("ip addr add fd00::2/64 dev left nodad")
        return try #require(try netlink.link(named: "left"))
    }

    @Test(arguments: AddressFamily.allCases)
    func `the unicast routes of the main table are those that ip shows`(family: AddressFamily) throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try linkWithAddresses(netlink)
            try answer("ip route add 198.51.100.0/24 via 10.0.0.1")
            try answer("ip route add 198.51.100.7 via 10.0.0.1 metric 9")
            try answer("ip route add unreachable 203.0.113.0/24")
            try answer("ip route add default via 10.0.0.1 table 51")
            try answer("ip -6 route add 2001:db8::/32 via fd00::1")
            let main = try netlink.routes(family).filter { $0.table == Route.main && !$0.isUnreachable }
            #expect(words(main, left) == (try Oracle.unicast(family, table: "main")))
            #expect(
                main.count == (family == .v4 ? 3 : 2), "on a link, via a next hop, and to one host; none unreachable")
            #expect(try netlink.defaultRoute(family) == nil, "the one there is stands in another table")
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func `the default route is the one of the smallest metric`(family: AddressFamily) throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try linkWithAddresses(netlink)
            let hops = try (family == .v4 ? ["10.0.0.8", "10.0.0.1"] : ["fd00::8", "fd00::1"])
                .map { try #require(IPAddress($0)) }
            let dear = Route(to: .everything(family), via: hops[0], interfaceIndex: left.index, metric: 700)
            let cheap = Route(to: .everything(family), via: hops[1], interfaceIndex: left.index, metric: 70)
            try netlink.add(dear)
            #expect(try netlink.defaultRoute(family) == dear)
            try netlink.add(cheap)
            #expect(try netlink.defaultRoute(family) == cheap)
            try netlink.delete(cheap)
            #expect(try netlink.defaultRoute(family) == dear)
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func `a multi-path route is one for each of its next hops`(family: AddressFamily) throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try linkWithAddresses(netlink)
            try answer("ip addr add 10.1.0.2/24 dev right")
            try answer("ip addr add fd01::2/64 dev right nodad")
            let right = try #require(try netlink.link(named: "right"))
            let hops = family == .v4 ? ["10.0.0.1", "10.1.0.1"] : ["fd00::1", "fd01::1"]
            try answer(
                "ip \(family == .v4 ? "" : "-6") route add default metric 7 nexthop via \(hops[0]) dev left weight 3 "
                    + "nexthop via \(hops[1]) dev right")
            let routes = try netlink.routes(family).filter { $0.destination.length == 0 }
            #expect(routes.map(\.gateway) == hops.map { IPAddress($0) })
            #expect(routes.map(\.interfaceIndex) == [left.index, right.index])
            #expect(routes.allSatisfy { $0.isShared && $0.metric == 7 && $0.table == Route.main })
            #expect(try netlink.defaultRoute(family) == routes.first)
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func `first routes, default routes and those of an origin are what the whole list has of them`(
        family: AddressFamily
    ) throws {
        try inFreshNamespace {
            let origin: UInt8 = 0xF0
            let netlink = try Netlink()
            let left = try linkWithAddresses(netlink)
            let hop = try #require(IPAddress(family == .v4 ? "10.0.0.1" : "fd00::1"))
            let far = try #require(IPPrefix(family == .v4 ? "198.51.100.0/24" : "2001:db8::/32"))
            let way = Route(to: .everything(family), via: hop, interfaceIndex: left.index, metric: 7)
            var others = way
            others.table = 51
            var ours = others
            (ours.origin, ours.metric) = (origin, 8)
            let refusal = Route(refusing: family, table: 52, origin: origin)
            for route in [Route(to: far, via: hop, interfaceIndex: left.index), way, others, ours, refusal] {
                try netlink.add(route)
            }
            let all = try netlink.routes(family)
            let found = try netlink.firstRoutes(family, andMadeBy: origin)
            #expect(found == all.filter { $0.isFirst || $0.origin == origin || $0.destination.length == 0 })
            #expect(found.filter(\.isFirst).map(\.destination.length).sorted() == [0, family == .v4 ? 24 : 64])
            #expect(Set(found.filter { $0.origin == origin }.map(\.table)) == [51, 52])
            #expect(found.count == 5 && all.count == 6, "not the one to further away")
        }
    }

    @Test(arguments: ["198.51.100.0/24", "198.51.100.7/32", "0.0.0.0/0", "2001:db8::/32", "2001:db8::7/128", "::/0"])
    func `a route is added to the table it names, once, and deleted once`(text: String) throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try linkWithAddresses(netlink)
            let destination = try #require(IPPrefix(text))
            let family = destination.address.family
            for gateway in [nil, IPAddress(family == .v4 ? "10.0.0.1" : "fd00::1")] {
                let route = Route(to: destination, via: gateway, interfaceIndex: left.index, metric: 5, table: 1051)
                try netlink.add(route)
                #expect(try netlink.routes(family).filter { $0.table == 1051 } == [route])
                #expect(words([route], left) == (try Oracle.unicast(family, table: "1051")))
                let refusal = #expect(throws: KernelError.self) { try netlink.add(route) }
                #expect(refusal?.description == "RTM_NEWROUTE \(destination): File exists")
                try netlink.delete(route)
                let absence = #expect(throws: KernelError.self) { try netlink.delete(route) }
                #expect(absence?.errno == .noSuchProcess)
            }
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func `every route of the main table can be deleted, the kernel's own too`(family: AddressFamily) throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            _ = try linkWithAddresses(netlink)
            try answer("ip route add 198.51.100.0/24 via 10.0.0.1 proto dhcp")
            try answer("ip -6 route add 2001:db8::/32 via fd00::1 proto ra")
            // The last made goes first: a next hop needs the route to its link.
            for route in try netlink.routes(family).filter({ $0.table == Route.main }).reversed() {
                try netlink.delete(route)
            }
            #expect(try Oracle.unicast(family, table: "main").isEmpty)
        }
    }

    @Test func `a next hop that no link reaches is refused`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let left = try linkWithAddresses(netlink)
            let route = Route(to: .everything(.v4), via: IPAddress("192.0.2.1"), interfaceIndex: left.index)
            let refusal = #expect(throws: KernelError.self) { try netlink.add(route) }
            #expect(refusal?.description == "RTM_NEWROUTE 0.0.0.0/0: Network is unreachable")
        }
    }
}

extension Netlink {
    /// The default route of the main table with the smallest metric; of several next hops the first.
    fileprivate func defaultRoute(_ family: AddressFamily) throws(KernelError) -> Route? {
        try routes(family).filter { $0.destination.length == 0 && $0.table == Route.main && !$0.isUnreachable }
            .min { $0.metric < $1.metric }
    }
}
