internal import CLinux
internal import Glibc

/// CLOCK_REALTIME, as the kernel judges it.
package enum SystemClock {
    /// Since 1970. May be set, forth and back.
    package static var seconds: Int64 {
        var now = timespec()
        // Cannot fail: the clock is always there and the pointer is ours.
        _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec)
    }

    /// Whether something, an NTP client mostly, keeps it right. No capability is needed.
    package static func isSynchronized() throws(KernelError) -> Bool {
        try check("adjtimex", "clock", clinux_clock_is_synchronized()) != 0
    }
}
