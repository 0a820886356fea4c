import Glibc
internal import SystemPackage

/// Memory that stays where it is, as the kernel counts it for a process.
package enum LockedMemory {
    /// How many octets this process may have; nil for as many as it likes.
    package static var limit: UInt64? {
        var limits = rlimit()
        // Cannot fail: the resource exists and the pointer is ours.
        _ = unsafe getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limits)
        return limits.rlim_cur == rlim_t.max ? nil : UInt64(limits.rlim_cur)
    }

    /// Keeps whatever this process has touched, and will touch, in memory: its code, which a machine short of it reads from
    /// the disk again and again, and its data, which then reaches no swap.
    ///
    /// Nothing is brought in for that (MCL_ONFAULT, Linux 4.4), and `ResidentMemory.forgetCode` still lets go.
    ///
    /// - Throws: `ENOMEM` where only so much may be locked: later memory could not be had.
    package static func keepAll() throws(KernelError) {
        let isCounted = (try? Capabilities.effective().contains(.ipcLock)) != true
        guard !isCounted || limit == nil else { throw KernelError("mlockall", .noMemory, "RLIMIT_MEMLOCK") }
        guard mlockall(MCL_CURRENT | MCL_FUTURE | CInt(MCL_ONFAULT)) == 0 else {
            throw KernelError("mlockall", Errno(rawValue: errno), "the process")
        }
    }
}
