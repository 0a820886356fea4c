import Cap
import DataPlane
import Glibc
import LinuxNetwork
import LinuxSystem
import Steering

/// What `forwarder down` did: it gives the host back, whoever left something there.
package struct DownReport: Report {
    /// A program taken from an interface.
    package struct Removal: Codable, Equatable, Sendable {
        package let interface: String
        package let program: String
    }

    package var schema = "forwarder.down/1"
    /// The process of the node that was running.
    package private(set) var stopped: Int32?
    package private(set) var removed: [Removal] = []
    /// Rules of policy routing that were deleted, as ip-rule(8) writes them.
    package private(set) var rules: [String] = []
    /// Routes of ours, as ip-route(8) writes them, but for their interfaces.
    package private(set) var routes: [String] = []
    /// The file by which names were asked of a node's stub resolver, where it was taken over.
    package private(set) var resolvConf: String?
    /// Where the ledger of the cap is into which was written what the programs had counted.
    package private(set) var settled: String?

    /// Stops a running node, then takes every program of ours from every interface: of this node, a dead one, or
    /// another version. From then on the kernel routes exit traffic as it did before.
    package init(givingBack settings: NodeSettings) throws(Refusal) {
        stopped = try Self.stop(settings)
        let lock = try Host.lock()
        try Self.awaitEndOfPorts(settings)
        do throws(KernelError) {
            let netlink = try Netlink()
            // What cannot be given back keeps nothing else.
            var failure: KernelError?
            // Backwards: the rules, which close by themselves, go last.
            for link in try netlink.links() {
                do throws(KernelError) { try giveBack(link, netlink) } catch { failure = failure ?? error }
            }
            for route in try Route.ours(netlink) {
                do throws(KernelError) {
                    try netlink.delete(route)
                    routes.append("\(route)")
                } catch {
                    if ![ESRCH, ENODEV].contains(error.errno.rawValue) { failure = failure ?? error }
                }
            }
            let ours = try Rule.ours(netlink)
            // A start that was killed may have left its hooks before a program stood there. Its rules were first.
            for edge in [settings.tailnet, settings.vpn] where !ours.isEmpty {
                if let link = try netlink.link(named: edge) { Attachment.removeEmptyHooks(of: link, netlink) }
            }
            for rule in ours {
                do throws(KernelError) {
                    try netlink.delete(rule)
                    rules.append("\(rule)")
                } catch {
                    // Somebody else may have been faster.
                    if error.errno != .noSuchFileOrDirectory { failure = failure ?? error }
                }
            }
            if let failure { throw failure }
        } catch {
            throw Refusal(
                couldNot: "give the host back", error, remedy: "run it as root in the node's network namespace")
        }
        var unsettled: Refusal?
        do throws(Refusal) { try settle(settings) } catch { unsettled = error }
        do throws(KernelError) {
            if try NameService.giveBack() { resolvConf = NameService.file.path }
        } catch {
            throw Refusal(
                couldNot:
                    "give back \(NameService.file.path), which may ask a stub resolver of ours; all else is given back",
                error, remedy: "make it a file that can be written, then ask again")
        }
        if let unsettled { throw unsettled }
        lock.release()
    }

    /// Nothing counts any more: what was counted goes into the ledger, for the counters go with their names.
    private mutating func settle(_ settings: NodeSettings) throws(Refusal) {
        guard let pins = Pins(of: settings) else { return }
        let directory = settings.stateDirectory
        do throws(LedgerRefusal) {
            if try pins.settle(settings.cap, in: directory) { settled = directory }
        } catch {
            throw Refusal(unsettled: error, in: directory, pins)
        }
    }

    /// What somebody else takes away meanwhile is gone, too.
    private mutating func giveBack(_ link: Link, _ netlink: borrowing Netlink) throws(KernelError) {
        for filter in try Attachment.all(on: link, netlink) {
            guard try netlink.detach(filter, from: link) else { continue }
            Attachment.removeEmptyHooks(of: link, netlink)
            removed.append(Removal(interface: link.name, program: filter.name))
        }
    }

    /// Our ports go with the process that made them, a moment later, when the kernel has let go of the io_uring: as long
    /// as they are there, a node runs, and its programs are not to be taken from under it.
    private static func awaitEndOfPorts(_ settings: NodeSettings) throws(Refusal) {
        var left: [String] = []
        for _ in 0..<100 {
            left = try refusing(couldNot: "look for ports") { () throws(KernelError) in
                let ports = Side.allCases.map(\.portName)
                return try Netlink().links().map(\.name).filter(ports.contains)
            }
            if left.isEmpty { return }
            usleep(20_000)
        }
        // A node opens this one first: without it, the other is somebody else's.
        guard left.contains(Side.inside.portName) else { return }
        throw Refusal(
            couldNot: "give the host back",
            because:
                "\(Side.inside.portName) is there: a node runs that does not answer on \(settings.controlSocket), "
                + "or somebody else took the name",
            remedy:
                "name its socket with --control-socket, or end its process, or ip link delete \(Side.inside.portName); "
                + "then " + nextCommand("down", controlSocket: settings.controlSocket),
            exitCode: .unavailable)
    }

    /// - Returns: the process of the node that was asked to stop and did; nothing when none was running.
    private static func stop(_ settings: NodeSettings) throws(Refusal) -> Int32? {
        guard ControlClient.isAnyoneThere(at: settings.controlSocket) else {
            return nil
        }
        let node: StatusReport = try ControlClient.ask(.stop, at: settings.controlSocket)
        let deadline = ContinuousClock.now + .seconds(5)
        while ContinuousClock.now < deadline {
            if !ControlClient.isAnyoneThere(at: settings.controlSocket) { return node.pid }
            usleep(20_000)
        }
        throw Refusal(
            couldNot: "stop the running node", because: "process \(node.pid) still answers after five seconds",
            remedy: "kill \(node.pid), then \(nextCommand("down", controlSocket: settings.controlSocket))",
            exitCode: .unavailable)
    }
}
