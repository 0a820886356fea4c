import FoundationEssentials
import LinuxSystem

extension Probe {
    static let clock = Probe("clock", "Is the clock right?", worst: .warning) { _ throws(KernelError) in
        judge(.now, isSynchronized: try SystemClock.isSynchronized())
    }

    static func judge(_ now: Date, isSynchronized: Bool) -> Finding {
        guard now >= earliest else {
            return .warning(
                "the clock says \(now.formatted(.iso8601))",
                remedy: "start an NTP client on the host: timedatectl set-ntp true")
        }
        guard isSynchronized else {
            return .note(
                "the clock is plausible, and nothing keeps it right",
                remedy: "start an NTP client on the host: timedatectl set-ntp true")
        }
        return .ok("the clock is plausible, and kept right")
    }

    /// 2024-01-01: before this program was.
    private static let earliest = Date(timeIntervalSince1970: 1_704_067_200)
}
