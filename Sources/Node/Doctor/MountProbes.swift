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

    /// The one that a file or directory is on; nil where that is not there.
    static func holding(_ path: String) -> Mount? {
        guard let whole = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(whole) }
        return holding(unsafe String(cString: whole), among: now())
    }

    /// - Parameter path: without links.
    static func holding(_ path: String, among mounts: [Mount]) -> Mount? {
        mounts.filter { $0.path == "/" || path == $0.path || path.hasPrefix($0.path + "/") }
            .max { $0.path.utf8.count < $1.path.utf8.count }
    }
}

extension Probe {
    static let bpffs = Probe(
        "bpffs", "Is a writable bpf file system at /sys/fs/bpf, for what is to outlive a node?", worst: .warning
    ) { surroundings in
        judge(
            bpffs: Mount.now(), isWritable: unsafe access("/sys/fs/bpf", W_OK) == 0,
            isCapped: surroundings.status.map { $0.cap != nil } ?? (surroundings.settings.cap.limit != nil))
    }

    static let mountingBPFFS =
        "give the container `volumes: [/sys/fs/bpf:/sys/fs/bpf]`, or on the host: mount -t bpf bpf /sys/fs/bpf"

    /// - Parameter isCapped: whether there is a count that should outlive a crash.
    static func judge(bpffs mounts: [Mount], isWritable: Bool, isCapped: Bool) -> Finding {
        let isThere = mounts.contains(Mount(path: "/sys/fs/bpf", type: "bpf"))
        guard !isThere || !isWritable else { return .ok("a bpf file system is at /sys/fs/bpf") }
        let obstacle =
            isThere ? "/sys/fs/bpf is not writable for this process" : "no bpf file system is at /sys/fs/bpf"
        guard isCapped else { return .note(obstacle, remedy: mountingBPFFS) }
        return .warning(
            "\(obstacle): each crash of a node charges the cap a reserve, and what passes while none runs is not counted",
            remedy: mountingBPFFS)
    }
}
