/// The rate at which what is left to the clients lasts until the period ends.
///
/// A new rate is taken when it is more than a twentieth above or below the one in force. That is safe without a clock:
/// a rate never more than 1.05 times what is left over the time left uses it up no sooner than the period ends, for it
/// falls with what is left. And it changes, and is told, some hundred times in a period instead of every second.
package struct Pace: Hashable, Sendable {
    package private(set) var rate: BitRate

    package init(_ rate: BitRate) { self.rate = rate }

    package mutating func follow(_ other: BitRate) {
        let difference = max(rate, other).bitsPerSecond - min(rate, other).bitsPerSecond
        if difference > rate.bitsPerSecond / 20 { rate = other }
    }
}

extension BitRate {
    /// What is left to the clients, in bits of their IP packets per second until the end. One direction may have it whole:
    /// who fills both comes to half of what is left in half of the time, and is paced anew.
    ///
    /// Billed bytes become the clients' by what the period has shown so far: all of them where nothing has been seen, and no
    /// less than half, since a period may begin with the control plane alone.
    package static func lasting(
        until end: Int64, from now: Int64, _ usage: Consumption, of allowance: Allowance, floor: BitRate
    ) -> BitRate {
        let left = allowance.end - min(allowance.end, usage.billed)
        let seconds = UInt128(max(1, end - min(end, now)))
        let billed = UInt128(max(1, usage.billed))
        let clients = usage.billed == 0 ? billed : min(billed, max((billed + 1) / 2, UInt128(usage.clients)))
        // A ledger may hold any number. The quotient is no more than eight times what is left.
        let bits = (seconds * billed).dividingFullWidth((UInt128(left) * 8).multipliedFullWidth(by: clients)).quotient
        return max(floor, min(sensible.upperBound, BitRate(UInt64(clamping: bits))))
    }
}
