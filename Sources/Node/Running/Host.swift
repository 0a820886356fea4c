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
}
