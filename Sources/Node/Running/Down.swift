import Glibc
import LinuxNetwork
import LinuxSystem

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

    /// Stops a running node, then takes every program of ours from every interface: of this node, a dead one, or
    /// another version. From then on the kernel routes exit traffic as it did before.
    package init(givingBack settings: NodeSettings) throws(Refusal) {
        stopped = try Self.stop(settings)
        do throws(KernelError) {
            let netlink = try Netlink()
            for link in try netlink.links() {
                for filter in try Attachment.all(on: link, netlink) {
                    try netlink.detach(filter, from: link)
                    Attachment.removeEmptyHooks(of: link, netlink)
                    removed.append(Removal(interface: link.name, program: filter.name))
                }
            }
        } catch {
            throw Refusal(
                couldNot: "give the host back", error, remedy: "run it as root in the node's network namespace")
        }
    }

    /// - Returns: the process of the node that was asked to stop and did; nothing when none was running.
    private static func stop(_ settings: NodeSettings) throws(Refusal) -> Int32? {
        let node: StatusReport
        do throws(Refusal) {
            node = try ControlClient.ask(.stop, at: settings.controlSocket)
        } catch {
            if error.exitCode == .unavailable { return nil }
            throw error
        }
        for _ in 0..<100 {
            do throws(Refusal) {
                _ = try ControlClient.ask(.status, at: settings.controlSocket, for: StatusReport.self)
            } catch {
                return node.pid
            }
            usleep(50_000)
        }
        throw Refusal(
            couldNot: "stop the running node", because: "process \(node.pid) still answers after five seconds",
            remedy: "kill \(node.pid), then forwarder down", exitCode: .unavailable)
    }
}
