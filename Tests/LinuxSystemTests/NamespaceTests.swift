import Glibc
import LinuxSystem
import Testing

/// Namespaces and other people's capabilities are root's alone.
let isRoot = geteuid() == 0

@Suite(.enabled(if: isRoot, "needs root")) struct NamespaceTests {
    @Test("a namespace sees only its own loopback, and only itself its mounts")
    func isolation() throws {
        let namespace = try Namespace { () throws(KernelError) in
            try mount("sysfs", at: "/sys")
            try mount("tmpfs", at: "/mnt")
        }
        let inside = try ChildProcess(
            ["sh", "-c", "ls /sys/class/net; grep -c ' /mnt ' /proc/self/mounts"], in: namespace)
        #expect(inside.wait(upTo: .seconds(10)) == .exited(0))
        #expect(inside.standardOutput == "lo\n1\n")
        let outside = try ChildProcess(["grep", "-c", " /mnt tmpfs ", "/proc/self/mounts"])
        #expect(outside.wait(upTo: .seconds(10)) == .exited(1))
    }

    @Test("a body runs inside, its answer comes out, and the caller stays where it was")
    func visit() throws {
        let namespace = try Namespace { () throws(KernelError) in }
        let before = networkOfThisThread()
        let inside = try namespace.run { () throws(KernelError) in networkOfThisThread() }
        #expect(inside != 0)
        #expect(inside != before)
        #expect(networkOfThisThread() == before)
    }

    @Test("a body's error comes out as it was thrown")
    func refusal() throws {
        let namespace = try Namespace { () throws(KernelError) in }
        let error = #expect(throws: KernelError.self) {
            try namespace.run { () throws(KernelError) in try mount("no-such-type", at: "/mnt") }
        }
        #expect(error?.errno.rawValue == ENODEV)
    }
}

/// The inode that stands for this very thread's network namespace.
private func networkOfThisThread() -> UInt {
    var status = stat()
    return unsafe stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0
}
