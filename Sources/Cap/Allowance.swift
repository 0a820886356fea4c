/// What a period may use: the cap, what was granted beyond it, and what of that the clients do not get.
package struct Allowance: Hashable, Sendable {
    /// More than nothing.
    package let cap: ByteCount
    package let granted: ByteCount
    /// Of the cap. Kept for the control plane and management, which go on when the clients are stopped.
    package let reserve: Portion

    package init(cap: ByteCount, granted: ByteCount = ByteCount(0), reserve: Portion) {
        self.cap = cap
        self.granted = granted
        self.reserve = reserve
    }

    package var limit: UInt64 {
        let (sum, overflow) = cap.bytes.addingReportingOverflow(granted.bytes)
        return overflow ? .max : sum
    }

    /// Where what the clients get ends.
    package var end: UInt64 { limit - min(limit, reserve.bytes(of: cap)) }

    /// Where a threshold lies. What was granted moves all of them in proportion, those in bytes, too: else their order could
    /// change, and a stop at 35GB of 35GB would stop all the same.
    package func position(of threshold: Portion) -> UInt64 {
        switch threshold {
        case .share(let share): share.bytes(of: limit)
        case .bytes(let count): scaled(count.bytes, by: limit, over: cap.bytes)
        }
    }
}
