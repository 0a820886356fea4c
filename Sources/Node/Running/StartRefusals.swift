import Glibc
import LinuxNetwork
import LinuxSystem
import Steering

// What a person is told when a node cannot start: what is missing, and the line that adds it.

extension Refusal {
    /// - Parameter missing: capabilities that forwarding needs and the process does not have.
    init(missing: Capabilities) {
        let added = missing.names.map { $0.dropFirst("CAP_".count) }.joined(separator: ", ")
        self.init(
            couldNot: "forward", because: "the process does not have \(missing.names.joined(separator: " and "))",
            remedy: "run as root, or give the container `cap_add: [\(added)]`", exitCode: .notPermitted)
    }

    /// - Parameter limit: how many files the process may open, which are fewer than it needs.
    init(openFiles limit: UInt64, of needed: UInt64) {
        self.init(
            couldNot: "start", because: "the process may open \(limit) files and needs \(needed)",
            remedy: Self.moreOpenFiles, exitCode: .unavailable)
    }

    init(loopback name: String, as key: String) {
        self.init(
            couldNot: "use \(name) as the \(key) edge",
            because: "it is a loopback interface, by which nothing comes from or goes to anybody else",
            remedy: "name the tunnel's, for example --\(key) \(key == "vpn" ? "tun0" : "tailscale0")", exitCode: .usage)
    }

    /// A rule holds for the interface that has its name now and for whichever has it later; another name it resolves once.
    init(otherName: String, of name: String, as key: String) {
        self.init(
            couldNot: "use \(otherName) as the \(key) edge",
            because: "it is another name of \(name), under which nothing could close an interface that is made anew",
            remedy: "name it as ip link lists it first: --\(key) \(name)", exitCode: .usage)
    }

    init(portTaken error: KernelError) {
        self.init(
            couldNot: "go on forwarding", because: "a port of ours was taken away: \(error)",
            remedy: "start it again as before", exitCode: .unavailable)
    }

    init(openingPort error: KernelError) {
        switch error.errno {
        case .noSuchFileOrDirectory, .noSuchAddressOrDevice:
            self.init(
                couldNot: "open the port", because: "there is no /dev/net/tun (\(error))",
                remedy: "give the container `devices: [/dev/net/tun]`, or on the host: modprobe tun",
                exitCode: .unavailable)
        case .resourceBusy, .invalidArgument:
            self.init(
                couldNot: "open the port \(error.subject)",
                because: "an interface of that name is there: another forwarder runs in this network namespace, "
                    + "or somebody else took the name",
                remedy: "end that forwarder, or ip link delete \(error.subject)", exitCode: .unavailable)
        case .notPermitted, .permissionDenied:
            self.init(
                couldNot: "open the port", because: "\(error)",
                remedy: "give the container `devices: [/dev/net/tun]` and `cap_add: [NET_ADMIN]`",
                exitCode: .notPermitted)
        default: self.init(couldNot: "open the port", error)
        }
    }

    init(loading refusal: LoadRefusal) {
        switch refusal.cause.errno {
        case .notPermitted, .permissionDenied:
            self.init(
                couldNot: "load the eBPF programs", because: "\(refusal)",
                remedy: "give the container `cap_add: [BPF, NET_ADMIN]` and a seccomp profile that allows bpf(2)",
                exitCode: .notPermitted)
        case .noFunction:
            self.init(
                couldNot: "load the eBPF programs", because: "this kernel was built without bpf(2)",
                remedy: "use a kernel with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF, 5.10 or newer",
                exitCode: .unavailable)
        case .noMemory:
            self.init(
                couldNot: "load the eBPF programs", because: "\(refusal)",
                remedy: "allow more locked memory: ulimits: {memlock: -1}, or ulimit -l unlimited",
                exitCode: .unavailable)
        default: self.init(couldNot: "load the eBPF programs", because: "\(refusal)", exitCode: .unavailable)
        }
    }

    /// Where somebody else's filter has our place, it is told: the kernel says no more than that ours is refused.
    init(attachingTo edges: Edges, _ settings: NodeSettings, _ error: KernelError, _ netlink: borrowing Netlink) {
        let couldNot = "attach to \(settings.tailnet) and \(settings.vpn)"
        for edge in [edges.tailnet, edges.vpn].compactMap(\.self) where "\(error.call)" == "RTM_NEWTFILTER" {
            guard let ingress = try? netlink.filters(on: edge, .ingress) else { continue }
            let finding = Probe.judge(edge.name, hooks: nil, ingress: ingress, egress: [])
            guard finding.severity == .error else { continue }
            self.init(
                couldNot: couldNot, because: "\(finding.evidence) (\(error))", remedy: finding.remedy,
                exitCode: .unavailable)
            return
        }
        self.init(couldNot: "\(error.call)" == "RTM_NEWTFILTER" ? couldNot : "meet the host as it is", error)
    }

    /// A step that closes the host was refused.
    init(closing error: KernelError, couldNot: String) {
        guard "\(error.call)" == "RTM_NEWQDISC", error.errno == .fileExists else {
            self.init(couldNot: couldNot, error)
            return
        }
        self.init(
            couldNot: couldNot, because: "the old qdisc `ingress` is on \(error.subject), and has no egress to guard",
            remedy: "tc qdisc delete dev \(error.subject) ingress", exitCode: .unavailable)
    }

    /// The loop did not get the I/O that the settings ask for.
    init(startingTheLoop error: KernelError, _ settings: NodeSettings) {
        guard settings.io == .uring else {
            self.init(couldNot: "start the packet loop", error)
            return
        }
        let obstacle = UringObstacle(error)
        self.init(
            couldNot: "use io_uring", because: obstacle.because, remedy: obstacle.remedyOfStart,
            exitCode: error.errno == .notPermitted ? .notPermitted : .unavailable)
    }
}

extension Uplinks {
    /// Why a guard may not be put here: in a host's own network it would cut off who is logged in.
    func lockOut(_ settings: NodeSettings) -> Refusal? {
        guard settings.guarding == .on, settings.allow == nil, let link = links.first, isInitialNamespace else {
            return nil
        }
        return Refusal(
            couldNot: "guard \(link.name)",
            because: "this is the host's own network, and whoever is logged in from elsewhere would be cut off",
            remedy: "name the services that must go on answering, for example FORWARDER_ALLOW=tcp/22, or "
                + "FORWARDER_ALLOW=none", exitCode: .usage)
    }

    /// The kernel shows its settings of the backlog in the first network namespace alone (net/core/sysctl_net_core.c).
    private var isInitialNamespace: Bool { unsafe access("/proc/sys/net/core/netdev_max_backlog", F_OK) == 0 }
}
