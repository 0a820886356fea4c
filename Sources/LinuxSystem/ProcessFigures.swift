import Glibc

/// What this process has of the machine, as the kernel counts it.
package struct ProcessFigures: Sendable {
    /// On processors, in user and kernel mode.
    package let processorSeconds: Double
    package let residentBytes: UInt64
    package let openDescriptors: Int

    /// Seconds since 1970.
    package static let startedAt: Double = {
        var now = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }()

    package init() {
        var usage = rusage()
        // Cannot fail: the process is ourselves and the pointer is ours.
        _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        processorSeconds = Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
        // The second field is pages (proc_pid_statm(5)).
        let pages = Self.line(of: "/proc/self/statm").split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        residentBytes = (pages ?? 0) * UInt64(sysconf(CInt(_SC_PAGESIZE)))
        openDescriptors = Self.descriptors
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

    private static func line(of path: String) -> String {
        guard let file = unsafe fopen(path, "re") else { return "" }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard unsafe fgets(&line, CInt(line.count), file) != nil else { return "" }
        return String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static var descriptors: Int {
        var status = stat()
        // Their number since Linux 6.2, zero before.
        if unsafe stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return Int(status.st_size) }
        guard let directory = unsafe opendir("/proc/self/fd") else { return 0 }
        defer { unsafe closedir(directory) }
        var count = 0
        while unsafe readdir(directory) != nil { count += 1 }
        // Itself, "." and ".." are among them.
        return max(0, count - 3)
    }
}
