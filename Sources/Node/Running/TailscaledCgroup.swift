import FoundationEssentials
import Glibc

/// The control group of the tailscaled that uses our network, where its connections can be marked.
struct TailscaledCgroup: Hashable, Sendable {
    /// Why there is none that may be marked, and what a person can do about it.
    struct Obstacle: Error {
        let evidence: String
        let remedy: String
    }

    /// The group's directory.
    let path: String
    /// The directory's inode: one that is made anew under its name is another.
    let inode: UInt64
    let process: Int32

    static func find() throws(Obstacle) -> TailscaledCgroup {
        let mounts = Mount.now().filter { $0.type == "cgroup2" }.map(\.path)
        guard !mounts.isEmpty else {
            throw Obstacle(
                evidence: "no cgroup2 file system is mounted",
                remedy: "give the container `volumes: [/sys/fs/cgroup:/sys/fs/cgroup]`, "
                    + "or on the host: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        }
        guard let process = tailscaled() else {
            throw Obstacle(
                evidence: "no process tailscaled of this network is visible",
                remedy: "start tailscaled, and give the container `pid: host` and `cgroup: host`")
        }
        let said = kernelText("/proc/\(process)/cgroup")?.split(separator: "\n").first { $0.hasPrefix("0::") }
        let paths = mounts.map { $0 + (said?.dropFirst(3) ?? "") }
        // Where another part of the hierarchy is mounted, the same path may lead elsewhere.
        guard said != nil, let path = paths.first(where: { processes(inGroup: $0).contains(process) }) else {
            throw Obstacle(
                evidence: "tailscaled, process \(process), is in a cgroup that is not visible from here",
                remedy: "give the container `cgroup: host` and `volumes: [/sys/fs/cgroup:/sys/fs/cgroup]`")
        }
        // The root alone has no such file.
        guard unsafe access("\(path)/cgroup.type", F_OK) == 0, let inode = inode(of: path) else {
            throw Obstacle(
                evidence: "tailscaled, process \(process), is in the root cgroup, with everybody else",
                remedy: "give it one of its own: run it as a container, or systemctl enable --now tailscaled")
        }
        if let stranger = stranger(to: process, in: path) {
            throw Obstacle(
                evidence: "tailscaled's cgroup \(path) also holds \(stranger), whose connections are not ours to mark",
                remedy: "give tailscaled a container or a service of its own")
        }
        return TailscaledCgroup(path: path, inode: inode, process: process)
    }

    /// Whether it still is where it was found.
    var isThere: Bool { Self.inode(of: path) == inode }

    // MARK: Processes

    /// A host may run several: that of this network namespace.
    private static func tailscaled() -> Int32? {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { Int32($0) }.sorted().first {
            kernelText("/proc/\($0)/comm") == "tailscaled" && isInOurNetwork($0)
        }
    }

    /// Each network namespace has a file of its own here, with an inode of its own; its name in `/proc/PID/ns` takes
    /// CAP_SYS_PTRACE to read.
    private static func isInOurNetwork(_ process: Int32) -> Bool {
        guard let ours = inode(of: "/proc/thread-self/net/dev") else { return false }
        return inode(of: "/proc/\(process)/net/dev") == ours
    }

    /// A process in the cgroup that has nothing to do with tailscaled: is not it, its client, a child of its children, or
    /// one that started it.
    private static func stranger(to tailscaled: Int32, in path: String) -> String? {
        let starters = Set(ancestry(of: tailscaled))
        for process in processes(below: path) where !starters.contains(process) {
            // Zero stands for one in another PID namespace.
            guard process > 0 else { return "a process that is not visible from here" }
            let name = kernelText("/proc/\(process)/comm")
            // One that has ended meanwhile, or was started by tailscaled.
            guard let name, name != "tailscale", !ancestry(of: process).contains(tailscaled) else { continue }
            return "process \(process), \(name)"
        }
        return nil
    }

    /// A process, its parent, and so on.
    private static func ancestry(of process: Int32) -> [Int32] {
        var line = [process]
        // A process can end, and its number be given away, while we ask.
        while line.count < 64, let parent = parent(of: line[line.count - 1]), parent > 0, !line.contains(parent) {
            line.append(parent)
        }
        return line
    }

    /// The fourth field; the second is a name in parentheses that may hold anything (proc_pid_stat(5)).
    private static func parent(of process: Int32) -> Int32? {
        guard let fields = kernelText("/proc/\(process)/stat")?.split(separator: ")").last?.split(separator: " "),
            fields.count > 1
        else { return nil }
        return Int32(fields[1])
    }

    // MARK: The hierarchy

    private static func processes(inGroup path: String) -> [Int32] {
        kernelText("\(path)/cgroup.procs")?.split(separator: "\n").compactMap { Int32($0) } ?? []
    }

    private static func processes(below path: String) -> [Int32] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        let groups = entries.map { "\(path)/\($0)" }.filter { unsafe access("\($0)/cgroup.procs", F_OK) == 0 }
        return processes(inGroup: path) + groups.flatMap { processes(below: $0) }
    }

    private static func inode(of path: String) -> UInt64? {
        var facts = stat()
        return unsafe stat(path, &facts) == 0 ? UInt64(facts.st_ino) : nil
    }
}
