internal import FoundationEssentials
internal import Glibc
package import LinuxSystem
internal import Synchronization

/// A container on a host of the lab, confined as Docker confines one, and by the program that Docker does it with: runc.
///
/// It shares the host's network, as `network_mode: service:` does. Of the machine it has the files, read-only, the
/// devices that every container has and `/dev/net/tun`; what it may write is `/run`, its own, and gone with it.
///
/// It ends with its last reference. A process that is killed leaves it behind: runc has no parent's death to tell it.
package final class Container: Sendable {
    /// runc, which ends as the container's first process does and hands signals on to it.
    package let child: ChildProcess
    /// Where runc keeps its books: the machine's mounts, control groups among them, and a `/run` of its own.
    private let engine: Namespace
    private let name: String

    /// Starts the container.
    ///
    /// - Parameters:
    ///   - arguments: its first process, by its path on the machine.
    ///   - capabilities: all that it may ever have, by their names.
    package init(
        _ arguments: [String], on host: LabHost, capabilities: [String], seccomp profile: SeccompProfile
    ) throws(LabFailure) {
        name = "forwarder-lab-\(getpid())-\(Self.count.wrappingAdd(1, ordering: .relaxed).oldValue)"
        let bundle = Bundle(
            arguments, capabilities: capabilities, network: "/proc/\(getpid())/fd/\(host.namespace.net.raw)",
            seccomp: profile)
        let goal = "start a container on \(host.name)"
        let text: String
        do {
            text = String(decoding: try JSONEncoder().encode(bundle), as: UTF8.self)
        } catch {
            throw LabFailure(couldNot: goal, because: "\(error)")
        }
        engine = try toward(goal) { () throws(KernelError) in
            try Namespace { () throws(KernelError) in
                try mount("tmpfs", at: "/run")
                try makeDirectory("/run/bundle")
                try makeDirectory("/run/bundle/rootfs")
                try makeFile("/run/bundle/config.json", containing: text)
                try makeFile(Bundle.resolvConf, containing: "nameserver 10.64.0.1\n")
            }
        }
        child = try Self.runc(["run", "--bundle", "/run/bundle", name], in: engine)
    }

    deinit {
        let end = try? Self.runc(["delete", "--force", name], in: engine)
        _ = end?.wait(upTo: .seconds(5))
    }

    /// Starts a program beside its first process, under the same confinement, as `docker exec` and a health check do.
    package func start(_ arguments: [String]) throws(LabFailure) -> ChildProcess {
        try Self.runc(["exec", name] + arguments, in: engine)
    }

    private static let count = Atomic(0)

    private static func runc(_ arguments: [String], in engine: Namespace) throws(LabFailure) -> ChildProcess {
        try toward("start runc \(arguments.joined(separator: " "))") { () throws(KernelError) in
            try ChildProcess(["runc", "--root", "/run/runc"] + arguments, in: engine)
        }
    }
}

/// What the Open Container Initiative's runtime specification, version 1.0.2, calls a configuration: of its members
/// those that we need, with the values that Docker gives them.
private struct Bundle: Encodable {
    struct Process: Encodable {
        struct User: Encodable { let uid = 0, gid = 0 }
        struct Capabilities: Encodable { let bounding, effective, permitted: [String] }
        let user = User()
        let args: [String]
        let env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        let cwd = "/"
        let capabilities: Capabilities
        let noNewPrivileges = true
    }

    struct Root: Encodable {
        let path = "rootfs"
        let readonly = true
    }

    struct Mount: Encodable {
        let destination, type, source: String
        let options: [String]

        init(_ type: String, of source: String? = nil, at destination: String, _ options: String...) {
            self.destination = destination
            self.type = type
            self.source = source ?? type
            self.options = options
        }
    }

    struct Linux: Encodable {
        struct Namespace: Encodable {
            let type: String
            var path: String?
        }
        struct Device: Encodable {
            let path = "/dev/net/tun"
            let type = "c"
            let major = 10, minor = 200, fileMode = 0o666
        }
        struct Resources: Encodable {
            struct Device: Encodable {
                let allow: Bool
                var type: String?
                var major: Int?
                var minor: Int?
                let access = "rwm"
            }
            let devices = [Device(allow: false), Device(allow: true, type: "c", major: 10, minor: 200)]
        }
        struct Seccomp: Encodable {
            let defaultAction: SeccompProfile.Action
            let defaultErrnoRet: Int
            let architectures: [String]
            let syscalls: [SeccompProfile.Rule]
        }
        let namespaces: [Namespace]
        let devices = [Device()]
        let resources = Resources()
        let seccomp: Seccomp
        let maskedPaths = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]
        let readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    }

    let ociVersion = "1.0.2"
    let process: Process
    let root = Root()
    let mounts = [
        // The machine's own root, without what is mounted in it, stands in for an image.
        Mount("bind", of: "/", at: "/", "bind", "ro"),
        Mount("proc", at: "/proc", "nosuid", "noexec", "nodev"),
        Mount("tmpfs", at: "/dev", "nosuid", "strictatime", "mode=755"),
        Mount("sysfs", at: "/sys", "nosuid", "noexec", "nodev", "ro"),
        Mount("tmpfs", at: "/run", "nosuid", "noexec", "nodev"),
        // Docker's own, writable where the root is.
        Mount("bind", of: Self.resolvConf, at: "/etc/resolv.conf", "bind", "rw"),
    ]
    static let resolvConf = "/run/bundle/resolv.conf"
    let linux: Linux

    init(_ arguments: [String], capabilities: [String], network: String, seccomp profile: SeccompProfile) {
        process = Process(
            args: arguments,
            capabilities: .init(bounding: capabilities, effective: capabilities, permitted: capabilities))
        let native = profile.archMap.first { $0.architecture == "SCMP_ARCH_\(machine.kernel)" }
        linux = Linux(
            namespaces: [
                .init(type: "mount"), .init(type: "pid"), .init(type: "ipc"), .init(type: "uts"),
                .init(type: "network", path: network),
            ],
            seccomp: .init(
                defaultAction: profile.defaultAction, defaultErrnoRet: profile.defaultErrnoRet,
                architectures: native.map { [$0.architecture] + ($0.subArchitectures ?? []) } ?? [],
                syscalls: profile.applied(holding: capabilities, on: machine.go)))
    }
}

#if arch(x86_64)
    private let machine = (kernel: "X86_64", go: "amd64")
#else
    private let machine = (kernel: "AARCH64", go: "arm64")
#endif
