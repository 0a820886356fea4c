/// A token bucket whose tokens are time: an octet costs as long as it lasts at the bucket's rate, and credit accrues
/// with the clock, so there is nothing to refill.
///
/// All that it keeps is the moment at which it would be full again. Behind that moment's nanoseconds stands the rest,
/// in parts of `rate`: at 10 Gbit/s an octet lasts 0.8 ns, at most rates no whole number of anything, and nothing may
/// drift.
package struct TokenBucket: BitwiseCopyable, Sendable {
    /// Bits a second; never zero.
    package private(set) var rate: UInt64
    /// What a full bucket holds, in nanoseconds at `rate`.
    package private(set) var burst: UInt64

    private var fullAt: UInt64
    /// How much of a nanosecond later than `fullAt`, in parts of `rate`.
    private var rest: UInt64 = 0

    /// A full bucket.
    package init(rate: UInt64, burst: UInt64, now: UInt64) {
        self.rate = rate
        self.burst = burst
        fullAt = now
    }

    /// The first whole nanosecond in which nothing is owed: from then on a packet may go, whatever its length. It may have
    /// passed.
    @inline(always)
    package var nextAdmission: UInt64 {
        let full = fullAt &+ (rest > 0 ? 1 : 0)
        return full > burst ? full - burst : 0
    }

    /// With more than there is, the bucket is in debt, and whoever comes next waits until that is paid.
    @inline(always)
    package mutating func spend(bytes: Int, now: UInt64) {
        if fullAt < now { (fullAt, rest) = (now, 0) }
        postpone(by: bytes)
    }

    /// Goes on at another rate. Credit and debt stay what they are in octets, but never more than the new burst.
    package mutating func change(rate: UInt64, burst: UInt64, now: UInt64) {
        // In billionths of a bit, of which one bit a second earns one in a nanosecond: exact at either rate.
        let owed = fullAt < now ? 0 : Int128(fullAt - now) * Int128(self.rate) + Int128(rest)
        let credit = Int128(self.burst) * Int128(self.rate) - owed
        let missing = max(0, Int128(burst) * Int128(rate) - credit)
        let (wait, rest) = missing.quotientAndRemainder(dividingBy: Int128(rate))
        self.rate = rate
        self.burst = burst
        fullAt = now &+ UInt64(wait)
        self.rest = UInt64(rest)
    }

    @inline(always)
    private mutating func postpone(by bytes: Int) {
        let (time, part) = (UInt64(bytes) &* 8_000_000_000).quotientAndRemainder(dividingBy: rate)
        fullAt &+= time
        rest &+= part
        guard rest >= rate else { return }
        rest &-= rate
        fullAt &+= 1
    }
}
