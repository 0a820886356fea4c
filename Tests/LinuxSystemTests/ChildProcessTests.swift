import LinuxSystem
import SystemPackage
import Testing

@Suite struct ChildProcessTests {
    @Test("what a child reads, prints and complains about arrives whole, and so does its exit code")
    func standardStreams() throws {
        let child = try ChildProcess(["sh", "-c", "cat; echo sorry >&2; exit 3"], input: .text("line\n"))
        #expect(child.wait(upTo: .seconds(10)) == .exited(3))
        #expect(child.standardOutput == "line\n")
        #expect(child.standardError == "sorry\n")
    }

    @Test("a child may print more than a pipe holds before anybody reads")
    func muchOutput() throws {
        let child = try ChildProcess(["head", "-c", "5000000", "/dev/zero"])
        #expect(child.wait(upTo: .seconds(10)) == .exited(0))
        #expect(child.standardOutput.utf8.count == 5_000_000)
    }

    @Test("a program that does not exist is refused by name")
    func missingProgram() throws {
        let error = #expect(throws: KernelError.self) { try ChildProcess(["no-such-program"]) }
        #expect(error?.errno == .noSuchFileOrDirectory)
        #expect(error?.subject == "no-such-program")
        #expect(error.map { "\($0.call)" } == "execvp")
    }

    @Test("waiting ends when the time is up, and a child that ignores SIGTERM is killed")
    func terminate() throws {
        let child = try ChildProcess(["sh", "-c", "trap '' TERM; echo ready; sleep 60 & wait; wait"])
        #expect(child.wait(upTo: .milliseconds(200)) == nil)
        #expect(child.terminate(grace: .milliseconds(200)) == .killed(signal: 9))
    }

    @Test("what a child leaves behind ends with it")
    func orphans() throws {
        let child = try ChildProcess(["sh", "-c", "sleep 60 & echo $!"])
        #expect(child.wait(upTo: .seconds(10)) == .exited(0))
        let orphan = child.standardOutput.split(separator: "\n")[0]
        // Where nobody reaps orphans a killed one stays a zombie, which has no command line.
        let look = try ChildProcess(
            [
                "sh", "-c",
                "for i in 1 2 3 4 5 6 7 8 9; do grep sleep /proc/\(orphan)/cmdline || exit 0; sleep .1; done; exit 1",
            ])
        #expect(look.wait(upTo: .seconds(10)) == .exited(0))
    }

    @Test("a child holds exactly the capabilities it was left, and uid 0", .enabled(if: isRoot, "needs root"))
    func capabilities() throws {
        let child = try ChildProcess(
            ["sh", "-c", "id -u; grep Cap /proc/self/status"], capabilities: [.netAdmin, .bpf])
        #expect(child.wait(upTo: .seconds(10)) == .exited(0))
        // Bits 12 and 39.
        #expect(
            child.standardOutput == """
                0
                CapInh:\t0000000000000000
                CapPrm:\t0000008000001000
                CapEff:\t0000008000001000
                CapBnd:\t0000008000001000
                CapAmb:\t0000000000000000

                """)
    }
}
