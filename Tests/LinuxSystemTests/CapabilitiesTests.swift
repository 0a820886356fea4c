import LinuxSystem
import Testing

@Suite struct CapabilitiesTests {
    @Test("the effective set is what the kernel prints of this thread")
    func effective() throws {
        let printed = try ChildProcess(["sed", "-n", "s/^CapEff:\\t//p", "/proc/self/status"])
        #expect(printed.wait(upTo: .seconds(10)) == .exited(0))
        let bits = UInt64(printed.standardOutput.trimmingSuffix("\n"), radix: 16)
        #expect(try Capabilities.effective().rawValue == bits)
    }

    @Test("what is missing can be named")
    func names() {
        let needed: Capabilities = [.netAdmin, .bpf]
        #expect(needed.subtracting(.netAdmin).names == ["CAP_BPF"])
        #expect("\(needed)" == "CAP_NET_ADMIN, CAP_BPF")
    }
}

@Suite struct MonotonicClockTests {
    @Test("the clock never goes back and keeps the pace of Swift's own")
    func pace() throws {
        let clock = MonotonicClock()
        let before = clock.nanoseconds
        let measured = try ContinuousClock().measure { _ = try ChildProcess(["sleep", "0.1"]).wait(upTo: .seconds(5)) }
        let passed = clock.nanoseconds - before
        #expect(passed >= 100_000_000)
        #expect(Duration.nanoseconds(passed) - measured < .milliseconds(50))
    }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> Substring {
        hasSuffix(suffix) ? dropLast(suffix.count) : self[...]
    }
}
