import LinuxSystem
import Steering
import Synchronization

/// The programs of a session at tailscaled's cgroup. They go with this process, however it ends: what tailscaled connects
/// then bears no mark but its own.
final class ControlPlaneMarks: Sendable {
    private struct State: ~Copyable {
        var cgroup: TailscaledCgroup?
        var links: CgroupLinks?
        var refusal: KernelError?
    }

    private let programs: ControlPlanePrograms
    private let state = Mutex(State())

    init(_ programs: ControlPlanePrograms) { self.programs = programs }

    /// Where they are; nil when that is gone.
    var cgroup: TailscaledCgroup? { state.withLock { $0.cgroup }.flatMap { $0.isThere ? $0 : nil } }

    /// Why the kernel did not take them.
    var refusal: KernelError? { state.withLock { $0.refusal } }

    /// - Returns: whether they are there now. If not, nothing ends: tailscaled's own mark carries its control plane.
    func put(on cgroup: TailscaledCgroup) -> Bool {
        state.withLock { state in
            do throws(KernelError) {
                state = State(cgroup: cgroup, links: try programs.attach(to: cgroup.path))
                return true
            } catch {
                state = State(refusal: error)
                return false
            }
        }
    }

    func takeOff() { state.withLock { $0 = State() } }
}
