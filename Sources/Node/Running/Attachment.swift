import LinuxNetwork
import LinuxSystem
import Steering

/// The programs that nodes put on interfaces, known by their names: of a running node, a dead one, another version.
enum Attachment {
    private static let prefix = "forwarder:"

    /// Where a program stands: before anybody else's, so that nobody sees exit traffic first, nor lets pass by the uplink what
    /// may not leave there.
    static func filter(_ program: Steering.Program) -> Filter {
        Filter(prefix + program.rawValue, program.direction, priority: 1, handle: 0xF0)
    }

    /// Whether this one, left alone by its node, drops exit traffic: it stands where that comes in.
    static func closesExitTraffic(_ filter: Filter) -> Bool { filter.name == self.filter(.tailnetIngress).name }

    static func isOurs(_ filter: Filter) -> Bool { filter.name.hasPrefix(prefix) }

    /// Whether the guard stands on it, whichever node's.
    static func guards(_ link: Link, _ netlink: borrowing Netlink) throws(KernelError) -> Bool {
        try netlink.filters(on: link, .egress).contains(filter(.guardEgress))
    }

    static func all(on link: Link, _ netlink: borrowing Netlink) throws(KernelError) -> [Filter] {
        var found: [Filter] = []
        for direction in Filter.Direction.allCases {
            found += try netlink.filters(on: link, direction).filter(isOurs)
        }
        return found
    }

    /// Removes the hooks of a link at which nobody's program stands.
    static func removeEmptyHooks(of link: Link, _ netlink: borrowing Netlink) {
        for direction in Filter.Direction.allCases {
            guard let left = try? netlink.filters(on: link, direction), left.isEmpty else { return }
        }
        try? netlink.removeClsact(from: link)
    }
}

extension Filter {
    /// Of two filters in one place, one replaces the other.
    func isInPlace(of other: Filter) -> Bool {
        (direction, priority, handle) == (other.direction, other.priority, other.handle)
    }
}
