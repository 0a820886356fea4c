import Glibc

/// CLOCK_MONOTONIC: never set, never stepped, stands still while the machine sleeps.
package struct MonotonicClock: Sendable {
    package init() {}

    /// Since an arbitrary moment before the process began.
    package var nanoseconds: UInt64 { read(CLOCK_MONOTONIC) }

    /// CLOCK_BOOTTIME: the same, but goes on while the machine sleeps.
    package var nanosecondsSinceBoot: UInt64 { read(CLOCK_BOOTTIME) }

    private func read(_ clock: clockid_t) -> UInt64 {
        var now = timespec()
        // Cannot fail: the clock is always there and the pointer is ours.
        _ = unsafe clock_gettime(clock, &now)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }
}
