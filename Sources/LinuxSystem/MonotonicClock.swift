import Glibc

/// CLOCK_MONOTONIC: never set, never stepped, stands still while the machine sleeps.
package struct MonotonicClock: Sendable {
    package init() {}

    /// Since an arbitrary moment before the process began.
    package var nanoseconds: UInt64 {
        var now = timespec()
        // Cannot fail: the clock is always there and the pointer is ours.
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }
}
