import Glibc

/// Memory that may not be swapped out, as the kernel counts it for a process.
package enum LockedMemory {
    /// How many octets this process may have; nil for as many as it likes.
    package static var limit: UInt64? {
        var limits = rlimit()
        // Cannot fail: the resource exists and the pointer is ours.
        _ = unsafe getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limits)
        return limits.rlim_cur == rlim_t.max ? nil : UInt64(limits.rlim_cur)
    }
}
