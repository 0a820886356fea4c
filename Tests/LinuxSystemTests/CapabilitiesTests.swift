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

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> Substring {
        hasSuffix(suffix) ? dropLast(suffix.count) : self[...]
    }
}
