import LinuxNetwork
import LinuxSystem

/// Changes to the host, in order, each of which can be taken back.
struct Plan: Sendable {
    enum Step: Sendable {
        /// Makes a port of ours ready: large packets, a long queue, silent, up. It goes with the port.
        case ready(Link)
        /// Gives a link its hooks for programs.
        case hook(Link)
        /// Puts a program at a link's ingress.
        case attach(Filter, Link, program: CInt)
        /// Puts a program in the place of a dead node's. It is not taken back: that would open what the dead node's closed.
        case replace(Filter, Link, program: CInt)
    }

    let steps: [Step]

    /// Makes every change; one that fails takes those before it back.
    func execute(_ netlink: borrowing Netlink) throws(KernelError) {
        var done: [Step] = []
        for step in steps {
            do throws(KernelError) {
                try step.perform(netlink)
                done.append(step)
            } catch {
                for step in done.reversed() { step.revert(netlink) }
                throw error
            }
        }
    }

    /// Takes every change back that is still there.
    func revert(_ netlink: borrowing Netlink) {
        for step in steps.reversed() { step.revert(netlink) }
    }
}

extension Plan.Step {
    /// Packets that wait for the loop. A tun drops silently behind these, and 500, the default, are a quarter of a
    /// millisecond.
    private static let queueLength: UInt32 = 4096

    fileprivate func perform(_ netlink: borrowing Netlink) throws(KernelError) {
        switch self {
        case .ready(let link):
            // Silent before it comes up: its own solicitations would meet us as packets of a client.
            try netlink.disableAddressGeneration(on: link)
            try netlink.setMTU(65_535, of: link)
            try netlink.setTransmitQueueLength(Self.queueLength, of: link)
            try netlink.bringUp(link)
        case .hook(let link): try netlink.addClsact(to: link)
        case .attach(let filter, let link, let program), .replace(let filter, let link, let program):
            try netlink.attach(filter, to: link, program: program)
        }
    }

    fileprivate func revert(_ netlink: borrowing Netlink) {
        switch self {
        case .ready, .replace: break
        case .hook(let link): Attachment.removeEmptyHooks(of: link, netlink)
        case .attach(let filter, let link, _): _ = try? netlink.detach(filter, from: link)
        }
    }
}

/// The programs that nodes put on interfaces, known by their names: of a running node, a dead one, another version.
enum Attachment {
    private static let prefix = "forwarder:"

    /// Where a program stands: before anybody else's, so that nobody sees exit traffic first.
    static func filter(_ program: String) -> Filter {
        Filter(prefix + program, .ingress, priority: 1, handle: 0xF0)
    }

    /// Whether this one, left alone by its node, drops exit traffic: it stands where that comes in.
    static func closesExitTraffic(_ filter: Filter) -> Bool { filter.name == prefix + "tailnet_ingress" }

    static func all(on link: Link, _ netlink: borrowing Netlink) throws(KernelError) -> [Filter] {
        var found: [Filter] = []
        for direction in Filter.Direction.allCases {
            found += try netlink.filters(on: link, direction).filter { $0.name.hasPrefix(prefix) }
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
