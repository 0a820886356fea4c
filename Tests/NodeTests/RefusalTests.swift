import LinuxSystem
import Testing

@testable import Node

@Suite("What a person is told")
struct RefusalTests {
    @Test("Whatever lacks a descriptor, the remedy is to allow more of them")
    func openFiles() {
        let refusal = Refusal(
            couldNot: "read the settings", KernelError("open", .tooManyOpenFiles, "f.yaml"), remedy: "name another")
        #expect(refusal.remedy?.contains("ulimit -n") == true)
        #expect(refusal.exitCode == .unavailable)
        let other = Refusal(
            couldNot: "read the settings", KernelError("open", .noSuchFileOrDirectory, "f.yaml"), remedy: "name another"
        )
        #expect(other.remedy == "name another")
    }
}
