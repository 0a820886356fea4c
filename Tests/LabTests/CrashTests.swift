import Glibc
import Lab
import LinuxSystem
import Testing

@Suite(.labCanBeBuilt) struct CrashTests {
    @Test("a lab whose owner is killed with SIGKILL leaves no process and no link")
    func killed() async throws {
        let before = try output(of: "ls /sys/class/net")
        let doomed = try await #require(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            // Children inherit the mark, by which they can be found.
            _ = unsafe setenv("LAB_OWNED_BY", "\(getppid())", 1)
            let lab = try WireGuardLab()
            let marked = try ChildProcess(["sh", "-c", findMarked(by: getppid())])
            _ = marked.wait(upTo: .seconds(10))
            print("daemons", marked.standardOutput.split(separator: "\n").count)
            _ = fflush(nil)
            kill(getpid(), SIGKILL)
            withExtendedLifetime(lab) {}
        }
        // Four wireguard-go: the search does find what is there.
        #expect(String(decoding: doomed.standardOutputContent, as: UTF8.self).contains("daemons 4"))
        var left = try output(of: findMarked(by: getpid()))
        for _ in 0..<20 where !left.isEmpty {
            try await Task.sleep(for: .milliseconds(100))
            left = try output(of: findMarked(by: getpid()))
        }
        #expect(left == "")
        #expect(try output(of: "ls /sys/class/net") == before)
    }
}

/// Lists the wireguard-go processes that a doomed owner, itself a child of this one, started.
private func findMarked(by parent: CInt) -> String {
    """
    for p in /proc/[0-9]*; do
        grep -qsz '^LAB_OWNED_BY=\(parent)$' $p/environ && grep -s wireguard-go $p/comm
    done
    true
    """
}

private func output(of command: String) throws -> String {
    let child = try ChildProcess(["sh", "-c", command])
    #expect(child.wait(upTo: .seconds(10)) == .exited(0))
    return child.standardOutput
}
