import CLinux
import LinuxSystem
import Synchronization
import Testing

@testable import Steering

/// Which of root's powers the programs need.
@Suite struct CapabilityTests {
    @Test func `CAP_BPF and CAP_NET_ADMIN are enough`() throws {
        let outcome = try load(holding: [.bpf, .netAdmin])
        #expect(outcome.held == [.bpf, .netAdmin])
        #expect(outcome.refusal == nil)
    }

    @Test func `without CAP_BPF the refusal says so`() throws {
        let outcome = try load(holding: [.netAdmin])
        let refusal = try #require(outcome.refusal)
        #expect(refusal.cause.errno == .notPermitted)
        #expect("\(refusal)".contains("steering programs"))
    }

    /// On a thread that gives up everything else: capabilities belong to threads.
    private func load(holding kept: Capabilities) throws -> (held: Capabilities?, refusal: LoadRefusal?) {
        let outcome = Mutex<(held: Capabilities?, refusal: LoadRefusal?)>((nil, nil))
        let thread = try Thread(named: "reduced") {
            guard clinux_reduce_capabilities(kept.rawValue) == 0 else { return }
            outcome.withLock { $0.held = try? Capabilities.effective() }
            do throws(LoadRefusal) { _ = try Steering() } catch { outcome.withLock { $0.refusal = error } }
        }
        thread.join()
        return outcome.withLock { $0 }
    }
}
