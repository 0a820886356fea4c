/// How long packets waited in a queue, of those that left it.
package struct QueueDelay: BitwiseCopyable, Sendable {
    private static let second: UInt64 = 1_000_000_000

    private var average: UInt64 = 0
    /// The second that `most` is of, counted since the machine started.
    private var current: UInt64 = 0
    private var most: UInt64 = 0
    private var mostBefore: UInt64 = 0

    package init() {}

    @inline(always)
    mutating func record(_ sojourn: UInt64, now: UInt64) {
        let elapsed = now / Self.second &- current
        if elapsed > 0 {
            mostBefore = elapsed == 1 ? most : 0
            most = 0
            current &+= elapsed
        }
        most = max(most, sojourn)
        average = average &- average / 16 &+ sojourn / 16
    }

    /// The longest wait in this second and the one before, in nanoseconds; zero when nothing left.
    package func longest(now: UInt64) -> UInt64 {
        switch now / Self.second &- current {
        case 0: max(most, mostBefore)
        case 1: most
        default: 0
        }
    }

    /// What packets waited lately, in nanoseconds: each weighs a sixteenth. Zero when nothing left in this second or
    /// the one before.
    package func mean(now: UInt64) -> UInt64 { now / Self.second &- current > 1 ? 0 : average }
}
