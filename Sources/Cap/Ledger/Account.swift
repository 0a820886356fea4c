/// Octets used in a stretch of time.
package struct Usage: Equatable, Sendable {
    package var counts = MeterCounts()
    /// What crashes may have hidden from the counts, in the worst case.
    ///
    /// It belongs to no class, point or direction, but is added to whatever is billed. It covers both directions of
    /// each point together, so it is enough for every rule: where at most `n` octets are missing of egress and ingress
    /// in all, at most `n` are missing of each, of their sum and of the larger.
    package var charged: UInt64 = 0

    package init(counts: MeterCounts = MeterCounts(), charged: UInt64 = 0) {
        self.counts = counts
        self.charged = charged
    }

    package func billed(by metering: Metering) -> UInt64 {
        let egress = counts.total(.egress, at: metering.point)
        let ingress = counts.total(.ingress, at: metering.point)
        return switch metering.direction {
        case .both: egress.adding(ingress).adding(charged)
        case .egress: egress.adding(charged)
        case .ingress: ingress.adding(charged)
        case .max: max(egress, ingress).adding(charged)
        }
    }
}

/// A period that has ended.
package struct ClosedPeriod: Equatable, Sendable {
    package let period: Range<Int64>
    package let countedSince: Int64
    package let usage: Usage
    /// With what was granted; nil where there was none.
    package let limit: UInt64?
}

/// The period in force and the past ones. Times are seconds since 1970.
package struct Account: Equatable, Sendable {
    /// How many past periods are kept.
    package static let periodsKept = 12
    /// 2020. A clock that shows less has not been set.
    package static let earliest: Int64 = 1_577_836_800

    package internal(set) var period: Range<Int64>
    /// When the count began: with the account, with its period or with a reset.
    package internal(set) var countedSince: Int64
    package internal(set) var usage = Usage()
    /// What a person added to this period's limit.
    package internal(set) var granted: UInt64 = 0
    /// No limit until the next period.
    package internal(set) var isUncapped = false
    /// The last that went into the count.
    package internal(set) var reading: Reading
    /// The oldest first.
    package internal(set) var history: [ClosedPeriod] = []

    /// All that the reading tells is used: nobody knows since when, so nothing of it is left out.
    init(_ period: Range<Int64>, since now: Int64, from reading: Reading) {
        self.period = period
        countedSince = now
        self.reading = reading
        usage.counts = reading.counts
    }

    init(
        period: Range<Int64>, countedSince: Int64, usage: Usage, granted: UInt64, isUncapped: Bool, reading: Reading,
        history: [ClosedPeriod]
    ) {
        self.period = period
        self.countedSince = countedSince
        self.usage = usage
        self.granted = granted
        self.isUncapped = isUncapped
        self.reading = reading
        self.history = history
    }

    /// Whether the period in force began after a moment. One that is to come did not.
    func isYounger(than moment: Int64, at now: Int64) -> Bool { moment < period.lowerBound && period.contains(now) }

    /// What counts against the cap at a moment. Where the clock is back in the period that was closed last, that one's, too:
    /// the clock was ahead then, or it is behind now, and in neither case was less used.
    package func usage(at now: Int64) -> Usage {
        guard now < period.lowerBound, let last = history.last, last.period.contains(now) else { return usage }
        var sum = last.usage
        sum.counts.add(usage.counts)
        sum.charged = sum.charged.adding(usage.charged)
        return sum
    }

    /// This period's limit under a cap; nil where there is none.
    package func limit(under cap: UInt64?) -> UInt64? { isUncapped ? nil : cap?.adding(granted) }

    /// Takes the calendar's period for a moment; answers whether anything changed.
    ///
    /// Once the period in force has ended it is closed, and never opens again. A moment before its start is a wrong
    /// clock, or one that was ahead when the period began: the count stays where it is until time catches up. A period
    /// of a clock that had not been set is not closed: what was counted in it belongs to the first real one.
    /// A calendar that says otherwise within the period has been set anew: the period takes its bounds and keeps its
    /// count, but does not reach back into a closed one.
    @discardableResult
    package mutating func enter(_ calendar: Range<Int64>, under cap: UInt64?, at now: Int64) -> Bool {
        guard now >= period.lowerBound, calendar.contains(now) else { return false }
        let wasUnset = period.lowerBound < Self.earliest
        let hasEnded = now >= period.upperBound && !wasUnset
        let closed = hasEnded ? period : history.last { $0.period.upperBound <= now }?.period
        let next = max(calendar.lowerBound, closed?.upperBound ?? .min)..<calendar.upperBound
        guard next != period else { return false }
        if hasEnded {
            close(under: cap)
            countedSince = next.lowerBound
        } else if wasUnset {
            countedSince = now
        }
        period = next
        return true
    }

    private mutating func close(under cap: UInt64?) {
        history.append(
            ClosedPeriod(period: period, countedSince: countedSince, usage: usage, limit: limit(under: cap)))
        history.removeFirst(max(history.count - Self.periodsKept, 0))
        usage = Usage()
        granted = 0
        isUncapped = false
    }

    package mutating func grant(_ octets: UInt64) { granted = granted.adding(octets) }

    package mutating func liftCap() { isUncapped = true }

    /// Counts from nothing, in whatever period the clock is in: a person knows better. Grants stay.
    package mutating func reset(to calendar: Range<Int64>, at now: Int64) {
        period = calendar
        countedSince = now
        usage = Usage()
    }
}
