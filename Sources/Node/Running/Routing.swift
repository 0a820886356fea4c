import LinuxNetwork
import LinuxSystem

/// What the host routes by, as far as a node asks. It is listed once for each look and handed on: a host may have a hundred
/// thousand routes, and for each list the kernel goes through all of them.
///
/// By the time it is used it is some milliseconds old, or as long as whoever was asked meanwhile took to answer. What comes or
/// goes in that time is as what comes or goes right after a look: rules and default routes are news (`LinkWatch`), and the next
/// look lists them again; other routes are met by whichever look comes next. Nothing fails by it: to delete what is gone is no
/// failure, a route is replaced where it has come back, and rules of ours nobody else makes while our ports are there.
struct Routing: Sendable {
    /// Everybody's, in the kernel's order; of a family that the kernel does not have, nothing.
    let rules: [AddressFamily: [Rule]]
    /// Of the main table the ways out, and to neighbours; without those that refuse.
    let first: [Route]
    /// By which interfaces default routes lead, those of other tables than the main one, too; not ours.
    let waysOut: Set<Int32>
    let ours: Ours

    /// Of this node, a dead one, another version. Sets, because a plan may hold a thousand steps.
    struct Ours: Sendable {
        let rules: Set<Rule>
        let routes: Set<Route>
    }

    init(_ netlink: borrowing Netlink) throws(KernelError) {
        rules = try Rule.all(netlink)
        var routes: [Route] = []
        for family in AddressFamily.allCases {
            // A kernel without IPv6 answers for IPv6 with what it has.
            routes += try netlink.firstRoutes(family, andMadeBy: Rule.forwarder)
                .filter { $0.destination.address.family == family }
        }
        waysOut = Set(
            routes.filter { $0.destination.length == 0 && $0.origin != Rule.forwarder && !$0.isUnreachable }.map(
                \.interfaceIndex))
        first = routes.filter { $0.isFirst && !$0.isUnreachable }
        ours = Ours(
            rules: Set(Rule.ours(in: rules)),
            routes: Set(routes.filter { $0.origin == Rule.forwarder }))
    }
}
