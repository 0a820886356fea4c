/// The wall clock, under the eyes of the steady one.
///
/// One that has leapt ahead may be wrong, and a period that it closes stays closed. So it is believed once both have gone on
/// alike for an hour, or as soon as it is back. The first moment is believed, for there is nothing to compare it with, and
/// whatever follows a clock that had not been set.
struct WatchedClock: Sendable {
    /// Seconds ahead that are no leap.
    private static let tolerance = 60
    /// Nanoseconds.
    private static let probation: UInt64 = 3_600_000_000_000

    private var believed: Moment
    /// Since when both have gone on alike.
    private var alike: Moment

    init(at now: Moment) {
        believed = now
        alike = now
    }

    mutating func isBelieved(at now: Moment) -> Bool {
        if now.leap(since: alike).magnitude > Self.tolerance { alike = now }
        let isAhead = now.leap(since: believed) > Self.tolerance && believed.wall >= Account.earliest
        guard !isAhead || now.steady.taking(alike.steady) >= Self.probation else { return false }
        believed = now
        return true
    }
}
