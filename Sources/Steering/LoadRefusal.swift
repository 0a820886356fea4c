import Glibc
package import LinuxSystem
import SystemPackage

/// The kernel would not take the programs.
package struct LoadRefusal: Error, CustomStringConvertible {
    package let cause: KernelError
    /// The last lines of the kernel's verifier; empty when it was not the one to refuse.
    package let log: String

    package var description: String { log.isEmpty ? "\(cause)" : "\(cause)\n\(log)" }

    init(errno: CInt, log: String) {
        cause = KernelError("bpf", Errno(rawValue: errno), "steering programs")
        self.log = log
    }
}

/// Where the kernel explains a refused program. Kernels before 6.4 refuse with ENOSPC what does not fit, hence the
/// size; pages that are never written cost nothing.
@safe struct VerifierLog: ~Copyable {
    static let capacity = 1 << 20
    private static let linesOfUse = 12

    let buffer: UnsafeMutablePointer<CChar>

    init() { unsafe buffer = calloc(VerifierLog.capacity, 1)!.assumingMemoryBound(to: CChar.self) }

    deinit { unsafe free(buffer) }

    var tail: String {
        unsafe String(cString: buffer).split(separator: "\n").suffix(VerifierLog.linesOfUse).joined(separator: "\n")
    }
}
