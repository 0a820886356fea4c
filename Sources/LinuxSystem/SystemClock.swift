internal import CLinux

/// CLOCK_REALTIME, as the kernel judges it.
package enum SystemClock {
    /// Whether something, an NTP client mostly, keeps it right. No capability is needed.
    package static func isSynchronized() throws(KernelError) -> Bool {
        try check("adjtimex", "clock", clinux_clock_is_synchronized()) != 0
    }
}
