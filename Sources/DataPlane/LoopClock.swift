import LinuxSystem

/// The loop's time: read once a round, the same for every packet of it.
package struct LoopClock: Sendable {
    package private(set) var nanoseconds: UInt64 = 0

    /// Whole seconds since the machine started, and one: zero is "never" wherever a second is kept.
    package var seconds: UInt32 { UInt32(truncatingIfNeeded: nanoseconds / 1_000_000_000) &+ 1 }

    package init() { read() }

    package mutating func read() {
        nanoseconds = MonotonicClock().nanoseconds
    }
}
