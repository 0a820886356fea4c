import Glibc

// File systems of the kernel's that are there or not.

/// Where a file system is, and of which type.
struct Mount: Equatable {
    let path: String
    let type: String

    /// Those that are seen: the table also lists what a later one covers.
    static func all(inTable text: String) -> [Mount] {
        var mounts: [Mount] = []
        for line in text.split(separator: "\n") {
            // 36 35 98:0 /root /mount/point options - type source options (proc_pid_mountinfo(5))
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), dash + 1 < fields.count else {
                continue
            }
            let mount = Mount(path: String(fields[4]), type: String(fields[dash + 1]))
            mounts.removeAll { $0.path == mount.path || $0.path.hasPrefix(mount.path + "/") }
            mounts.append(mount)
        }
        return mounts
    }

    static func now() -> [Mount] { all(inTable: kernelText("/proc/thread-self/mountinfo") ?? "") }
}

extension Probe {
    static let bpffs = Probe(
        "bpffs", "Is a writable bpf file system at /sys/fs/bpf, for what is to outlive a node?", worst: .note
    ) { _ in
        judge(bpffs: Mount.now(), isWritable: unsafe access("/sys/fs/bpf", W_OK) == 0)
    }

    static func judge(bpffs mounts: [Mount], isWritable: Bool) -> Finding {
        let remedy =
            "give the container `volumes: [/sys/fs/bpf:/sys/fs/bpf]`, or on the host: mount -t bpf bpf /sys/fs/bpf"
        guard mounts.contains(Mount(path: "/sys/fs/bpf", type: "bpf")) else {
            return .note("no bpf file system is at /sys/fs/bpf", remedy: remedy)
        }
        guard isWritable else { return .note("/sys/fs/bpf is not writable for this process", remedy: remedy) }
        return .ok("a bpf file system is at /sys/fs/bpf")
    }
}
