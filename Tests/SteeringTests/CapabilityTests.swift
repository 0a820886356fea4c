import CBPF
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

    /// Verifying is nearly all of what a start costs, and without CAP_PERFMON what the processor might speculate is
    /// verified too: 60,000 instructions took 100 ms, 5,000 take 6 (Linux 6.18, two virtual cores, 2026-11). A change
    /// that splits the verifier's states multiplies them, so the bar leaves room for growth and for kernels that merge
    /// fewer states, not for that.
    ///
    /// Kernels before 5.16 do not tell and answer zero.
    @Test(arguments: Steering.Program.allCases)
    func `the kernel verifies a program in a few milliseconds`(program: Steering.Program) throws {
        let outcome = try load(holding: [.bpf, .netAdmin])
        let verified = try #require(outcome.verifiedInstructions[program])
        #expect(verified < 12_000, "\(program)")
    }

    private struct Outcome {
        var held: Capabilities?
        var refusal: LoadRefusal?
        var verifiedInstructions: [Steering.Program: UInt32] = [:]
    }

    /// On a thread that gives up everything else: capabilities belong to threads.
    private func load(holding kept: Capabilities) throws -> Outcome {
        let outcome = Mutex(Outcome())
        let thread = try Thread(named: "reduced") {
            guard clinux_reduce_capabilities(kept.rawValue) == 0 else { return }
            outcome.withLock { $0.held = try? Capabilities.effective() }
            do throws(LoadRefusal) {
                let steering = try Steering()
                for program in Steering.Program.allCases {
                    let verified = steering.verifiedInstructions(of: program)
                    outcome.withLock { $0.verifiedInstructions[program] = verified }
                }
            } catch { outcome.withLock { $0.refusal = error } }
        }
        thread.join()
        return outcome.withLock { $0 }
    }
}

extension Steering {
    /// How many instructions the verifier went through, on all paths together.
    fileprivate borrowing func verifiedInstructions(of program: Program) -> UInt32? {
        var description = bpf_prog_info()
        var size = UInt32(MemoryLayout<bpf_prog_info>.size)
        let answer = unsafe bpf_obj_get_info_by_fd(loaded(program).descriptor, &description, &size)
        return answer == 0 ? description.verified_insns : nil
    }
}
