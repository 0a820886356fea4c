import DataPlane
import LinuxSystem

/// Why io_uring cannot be had here, and what allows it.
struct UringObstacle {
    let because: String
    let remedy: String

    /// - Parameters:
    ///   - disabled: the value of kernel.io_uring_disabled (Linux 6.6): 1 is for root and one group, 2 for nobody.
    ///   - isFiltered: whether the process stands under a seccomp filter.
    init(_ error: KernelError, disabled: String?, isFiltered: Bool) {
        switch error.errno {
        case .notSupported:
            because = "the kernel is older than Linux \(KernelRelease.ofUring)"
            remedy = "use Linux \(KernelRelease.ofUring) or newer"
        case .noMemory:
            because = "it may not lock enough memory (\(error))"
            remedy = "allow more locked memory: ulimits: {memlock: -1}, or ulimit -l unlimited"
        case .notPermitted where disabled == "1" || disabled == "2":
            because = "kernel.io_uring_disabled is \(disabled ?? "")"
            remedy = "on the host: sysctl -w kernel.io_uring_disabled=0"
        case .notPermitted where isFiltered, .noFunction where isFiltered:
            because = "the seccomp profile refuses it (\(error))"
            remedy =
                "name a profile that allows io_uring_setup, io_uring_enter and io_uring_register: "
                + "security_opt: [seccomp=profile.json]"
        case .noFunction:
            because = "the kernel was built without it"
            remedy = "use a kernel with CONFIG_IO_URING"
        default:
            because = "\(error)"
            remedy = "allow io_uring where it is refused (seccomp, kernel.io_uring_disabled, a security module)"
        }
    }

    /// Of this process, on this host.
    init(_ error: KernelError) {
        let status = kernelText("/proc/thread-self/status") ?? ""
        self.init(
            error, disabled: kernelText("/proc/sys/kernel/io_uring_disabled"),
            isFiltered: status.split(separator: "\n").contains("Seccomp:\t2"))
    }
}

extension Probe {
    static let ioUring = Probe("io_uring", "May io_uring be used?", worst: .error) { surroundings throws(KernelError) in
        let preference = surroundings.settings.io
        if preference == .poll { return .ok("poll(2) is asked for by the setting io") }
        if let status = surroundings.status, status.io == .uring { return .ok("the node that runs uses it") }
        do throws(KernelError) {
            try UringIO.tryOut()
            return .ok("the kernel grants it")
        } catch {
            if [.tooManyOpenFiles, .tooManyOpenFilesInSystem].contains(error.errno) { throw error }
            return judge(UringObstacle(error), preference)
        }
    }

    static func judge(_ obstacle: UringObstacle, _ preference: IOPreference) -> Finding {
        preference == .uring
            ? .error("io_uring is asked for, and \(obstacle.because)", remedy: obstacle.remedyOfStart)
            : .note("packets go by poll(2): \(obstacle.because)", remedy: obstacle.remedy)
    }
}

extension UringObstacle {
    /// Where io_uring alone is asked for.
    var remedyOfStart: String { "set FORWARDER_IO=auto, which falls back to poll, or \(remedy)" }
}
