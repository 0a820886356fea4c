internal import Glibc
package import LinuxSystem

/// A machine of the lab: a network of its own, and its own `/sys`, `/run` and `/etc/resolv.conf`.
///
/// It has no name outside this process. When the process ends, by whatever signal, host, links and children are gone. All
/// other directories are the machine's, so nothing is made in them: it would stay.
package final class LabHost: Sendable {
    package let name: String
    package let namespace: Namespace

    package init(named name: String) throws(LabFailure) {
        self.name = name
        namespace = try toward("make the lab host \(name)") { () throws(KernelError) in
            try Namespace { () throws(KernelError) in
                // A sysfs shows the network namespace it was mounted in.
                try mount("sysfs", at: "/sys")
                try mount("bpf", at: "/sys/fs/bpf")
                // The sockets of WireGuard and ours, which must meet neither the machine's nor another host's.
                try mount("tmpfs", at: "/run")
                try makeDirectory("/run/wireguard")
                try makeDirectory("/run/forwarder")
                // As a container has it: a file of its own that cannot be renamed. It names the lab's VPN.
                try makeFile(Self.resolvConf, containing: "nameserver 10.64.0.1\n")
                // Where systemd-resolved is, it is a link into what has just become empty.
                try makeDirectory("/run/systemd")
                try makeDirectory("/run/systemd/resolve")
                try makeFile("/run/systemd/resolve/stub-resolv.conf", containing: "")
                try bindMount(Self.resolvConf, at: "/etc/resolv.conf")
            }
        }
        for scope in ["all", "default"] {
            // The lab's paths are asymmetric on purpose, and its addresses unique by construction.
            try set("net/ipv4/conf/\(scope)/rp_filter", to: "0")
            try set("net/ipv6/conf/\(scope)/accept_dad", to: "0")
            try set("net/ipv6/conf/\(scope)/accept_ra", to: "0")
        }
        // As Docker has it.
        try set("net/ipv4/ip_unprivileged_port_start", to: "0")
        try ip("link set lo up")
    }

    /// What stands at `/etc/resolv.conf`.
    package static let resolvConf = "/run/resolv.conf"

    /// Starts a program that stays; the caller owns it and ends it by letting go.
    package func start(
        _ arguments: [String], capabilities: Capabilities? = nil, input: ChildProcess.Input = .nothing
    ) throws(LabFailure) -> ChildProcess {
        try toward("start \(arguments.joined(separator: " ")) on \(name)") { () throws(KernelError) in
            try ChildProcess(arguments, in: namespace, capabilities: capabilities, input: input)
        }
    }

    /// Runs a program to its good end and answers what it printed.
    @discardableResult
    package func run(
        _ arguments: [String], input: String = "", upTo limit: Duration = .seconds(20)
    ) throws(LabFailure) -> String {
        let child = try start(arguments, input: .text(input))
        let ending = child.wait(upTo: limit)
        guard let ending, ending.isSuccess else {
            let reason = ending.map { "\($0)" } ?? "no end after \(limit)"
            throw LabFailure(
                couldNot: "run \(arguments.joined(separator: " ")) on \(name)",
                because: "\(reason) \(child.standardError)\(child.standardOutput)")
        }
        return child.standardOutput
    }

    /// Lines for iproute2. Deliberately not our own netlink code: the lab is its oracle.
    package func ip(_ lines: String) throws(LabFailure) {
        try run(["ip", "-batch", "-"], input: lines + "\n")
    }

    package func nft(_ rules: String) throws(LabFailure) {
        try run(["nft", "-f", "-"], input: rules + "\n")
    }

    /// Sets a kernel parameter of this host, by its path under /proc/sys.
    package func set(_ parameter: String, to value: String) throws(LabFailure) {
        let path = "/proc/sys/" + parameter
        try toward("set \(parameter) on \(name)") { () throws(KernelError) in
            try namespace.run { () throws(KernelError) in try replaceContents(of: path, with: value) }
        }
    }

    /// Writes a file; one that is there stays the same file.
    package func write(_ text: String, to path: String) throws(LabFailure) {
        try run(["sh", "-c", #"cat >"$1""#, "sh", path], input: text)
    }

    /// Lays a cable: two veth ends, both up. The kernel hands super-packets across whole.
    package func cable(_ interface: String, to peer: LabHost, _ peerInterface: String) throws(LabFailure) {
        // A namespace without a name is reached through its descriptor.
        let there = "/proc/\(getpid())/fd/\(peer.namespace.net.raw)"
        try ip(
            """
            link add \(interface) type veth peer name \(peerInterface) netns \(there)
            link set \(interface) up
            """)
        try peer.ip("link set \(peerInterface) up")
    }
}
