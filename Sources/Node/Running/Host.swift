import LinuxNetwork
import LinuxSystem
import Steering

/// The host as a plan meets it.
struct Host: ~Copyable {
    let netlink: Netlink
    /// What is loaded to be attached.
    var programs: [Steering.Program: LoadedProgram] = [:]
    var marks: ControlPlaneMarks?

    init() throws(KernelError) { netlink = try Netlink() }

    /// Whoever closes the host or gives it back does so alone in it: of two at once, the one that fails would take back what the
    /// other had found there and relies on.
    static func lock() throws(Refusal) -> NamespaceLock {
        do throws(KernelError) {
            return try NamespaceLock("forwarder", upTo: .seconds(10))
        } catch {
            throw Refusal(
                couldNot: "change the host",
                because: "another forwarder has been closing it or giving it back for ten seconds (\(error))",
                remedy: "try it again once that has ended; its process: ss -xap | grep @forwarder",
                exitCode: .unavailable)
        }
    }
}
