/// From one reset day's beginning to the next one's, in seconds since 1970; the end is the next period's start.
package struct BillingPeriod: Hashable, Sendable {
    package let start: Int64
    package let end: Int64

    package init(start: Int64, end: Int64) {
        self.start = start
        self.end = end
    }

    package var seconds: Range<Int64> { start..<end }

    /// What the period will have used if it goes on as since the count began.
    ///
    /// The count's first day is taken as a whole one, however little of it is over: the first minutes would else tell of a
    /// thousandfold. Never less than what is used.
    ///
    /// - Parameter counted: when the count began, where that is later than the period.
    package func projected(used: UInt64, now: Int64, counted: Int64? = nil) -> UInt64 {
        let now = min(max(now, start), end)
        let elapsed = max(86_400, now - min(max(counted ?? start, start), now))
        let more = UInt128(used) * UInt128(end - now) / UInt128(elapsed)
        return UInt64(clamping: UInt128(used) + more)
    }
}
