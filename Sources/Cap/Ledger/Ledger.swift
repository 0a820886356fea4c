/// The account as written to disk.
package struct LedgerEntry: Equatable, Sendable {
    package var account: Account
    /// How many octets may have passed a point, both ways together, since this was written and before the next was.
    package var reserve: UInt64
    /// Seconds since 1970.
    package var writtenAt: Int64
    /// The larger is the newer. The file numbers.
    package var sequence: UInt64 = 0
}

/// What is wrong with the clock. The period in force is kept meanwhile.
package enum ClockDoubt: Sendable {
    /// Before that period, which began while the clock was ahead, or it is behind now; or it was never set.
    case behind
    /// It has leapt past that period's end.
    case ahead
}

/// The account in memory, and how much of it the disk vouches for.
///
/// Kernel counters that outlive us (a pinned map) are the truth and make the count exact: the next reading is
/// subtracted from the last. Where they died with the machine, what they had counted since the last write is lost. So
/// each write reserves ahead, and whoever finds counters that do not continue the last reading charges the reserve:
/// the total is then at least the truth, and above it by no more than the reserve. That holds as long as no more than
/// `headroom` passes between two writes; where it is broken, `uncovered` says by how much.
package struct Ledger: Sendable {
    package static let leastReserve: UInt64 = 1 << 20
    /// Nanoseconds from one write to the next while anything changes, and while nothing does.
    private static let interval: (busy: UInt64, idle: UInt64) = (10_000_000_000, 60_000_000_000)
    /// Nanoseconds from one write to the next that are aimed at under load.
    private static let goal: UInt64 = 200_000_000

    package private(set) var account: Account
    /// None also where a clock in doubt changes nothing.
    package private(set) var clockDoubt: ClockDoubt?
    private var clock: WatchedClock
    /// Of the newest entry that surely is on disk.
    private var reserve: UInt64
    /// How much may pass a point from now on, both ways together, so that a power cut would not hide any of it. Whoever lets
    /// traffic pass replaces what it was told before by this, after each record.
    package private(set) var headroom: UInt64 = 0
    /// What may still be passing by what was told before.
    private var told: UInt64
    /// Counted since that entry, at each point.
    private var flowed = MeterCounts()
    /// What the last write allowed.
    private var stride = Ledger.leastReserve / 2
    /// The most between two readings, of late.
    private var busiest: UInt64 = 0
    private var writtenAt: UInt64
    private var mustPersistAtOnce: Bool
    /// What the entry that is being written will allow.
    private var coming: UInt64?

    /// An account without a past, or one whose past is lost; then `charged` is what is lost at least.
    ///
    /// - Parameter uncappedSince: since when all that the reading tells was counted; nil where nobody knows.
    package init(
        _ period: Range<Int64>, from reading: Reading, charged: UInt64 = 0, uncappedSince: Int64? = nil, at now: Moment
    ) {
        account = Account(period, since: min(uncappedSince ?? now.wall, now.wall), from: reading)
        account.usage.charged = charged
        if let uncappedSince, account.isYounger(than: uncappedSince, at: now.wall) {
            account.usage.counts = MeterCounts()
            account.countedSince = now.wall
        }
        clock = WatchedClock(at: now)
        reserve = 0
        told = 0
        writtenAt = now.steady
        mustPersistAtOnce = true
    }

    /// Goes on where an entry ended, however that was.
    ///
    /// - Parameter uncappedSince: since when what came to the reading was counted without a cap; nil where there was one.
    package init(
        resuming entry: LedgerEntry, in period: Range<Int64>, under cap: UInt64?, from reading: Reading,
        uncappedSince: Int64? = nil, at now: Moment
    ) {
        account = entry.account
        clock = WatchedClock(at: now)
        reserve = entry.reserve
        told = reading.epoch == entry.account.reading.epoch ? entry.reserve : 0
        writtenAt = now.steady
        mustPersistAtOnce = true
        enter(period, under: cap, at: now)
        if let uncappedSince, account.isYounger(than: uncappedSince, at: now.wall) {
            leaveOut(reading, at: now)
        } else {
            record(reading)
        }
        busiest = 0
    }

    /// What was used in a past period without a cap, and how much of it since, nobody knows: the count begins now.
    private mutating func leaveOut(_ reading: Reading, at now: Moment) {
        if reading.epoch != account.reading.epoch { chargeReserve() }
        account.reading = reading
        if account.usage.counts == MeterCounts() { account.countedSince = now.wall }
    }

    /// Adds what came since the last reading to the period in force.
    ///
    /// To be called after `enter`: what flowed across a period's end counts in the new one, for that is the one whose
    /// limit still matters.
    package mutating func record(_ reading: Reading) {
        let continues = reading.epoch == account.reading.epoch
        let difference = continues ? reading.counts.since(account.reading.counts) : reading.counts
        if !continues || reading.counts.isBehind(account.reading.counts) { chargeReserve() }
        account.reading = reading
        account.usage.counts.add(difference)
        flowed.add(difference)
        headroom = headroom.taking(difference.most)
        busiest = max(difference.most, busiest - busiest / 4)
    }

    /// The counters ended after the last entry and before what they had counted was read. Of the reserve, what has been
    /// counted since that entry is not hidden.
    private mutating func chargeReserve() {
        account.usage.charged = account.usage.charged.adding(reserve.taking(flowed.least))
        reserve = 0
        headroom = 0
        flowed = MeterCounts()
        mustPersistAtOnce = true
    }

    /// The entry that it was resumed from has been read, but may be on no disk: nothing is covered until the next write.
    package mutating func distrustDisk() {
        reserve = 0
        headroom = 0
        flowed = MeterCounts()
    }

    /// Takes the calendar's period for now, unless that would close one at the word of a clock in doubt.
    package mutating func enter(_ period: Range<Int64>, under cap: UInt64?, at now: Moment) {
        let isAhead = !clock.isBelieved(at: now) && now.wall >= account.period.upperBound
        let isBehind = now.wall < max(account.period.lowerBound, Account.earliest)
        clockDoubt = isAhead ? .ahead : isBehind ? .behind : nil
        if !isAhead, account.enter(period, under: cap, at: now.wall) { mustPersistAtOnce = true }
    }

    package mutating func grant(_ octets: UInt64) {
        account.grant(octets)
        mustPersistAtOnce = true
    }

    package mutating func liftCap() {
        account.liftCap()
        mustPersistAtOnce = true
    }

    package mutating func reset(to period: Range<Int64>, at now: Moment) {
        account.reset(to: period, at: now.wall)
        clock = WatchedClock(at: now)
        clockDoubt = nil
        mustPersistAtOnce = true
    }

    /// How much a power cut would hide: it passed while nothing could be written, or faster than the reserve foresaw.
    package var uncovered: UInt64 { flowed.most.taking(reserve) }

    /// By octets once half of what the next write would allow is left or less, by time, and at once after what no reading can tell again.
    package func mustPersist(at now: Moment) -> Bool {
        let age = now.steady.taking(writtenAt)
        let hasChanged = flowed.most > 0 || reserve > Self.leastReserve
        return mustPersistAtOnce || headroom <= stride / 2
            || age >= (hasChanged ? Self.interval.busy : Self.interval.idle)
    }

    /// What to write now. Its word counts from `persisted` on, and until then all that is recorded counts as unwritten. Beside
    /// what it will allow, the reserve covers what passes between a reading and the moment at which what was told is replaced.
    package mutating func begin(at now: Moment) -> LedgerEntry {
        let next = nextStride(at: now)
        coming = next
        mustPersistAtOnce = false
        return LedgerEntry(account: account, reserve: next.adding(max(next, told)), writtenAt: now.wall)
    }

    /// Twice what the last write allowed where that was used up soon, and no more than twice what has passed where it lasted;
    /// at least twice what lately passes between two readings.
    private func nextStride(at now: Moment) -> UInt64 {
        let lasted = now.steady.taking(writtenAt) >= Self.goal
        let twice = flowed.most.adding(flowed.most)
        let paced = lasted ? min(stride, twice) : twice >= stride ? stride.adding(stride) : stride
        return max(Self.leastReserve / 2, paced, busiest.adding(busiest))
    }

    /// What to write when all has been read and nothing follows.
    package func closingEntry(at now: Moment) -> LedgerEntry {
        LedgerEntry(account: account, reserve: 0, writtenAt: now.wall)
    }

    /// The disk vouches for this entry, but for what was recorded since it was made.
    package mutating func persisted(_ entry: LedgerEntry, at moment: Moment) {
        reserve = entry.reserve
        stride = coming ?? nextStride(at: moment)
        coming = nil
        let (now, then) = (account.reading, entry.account.reading)
        flowed = now.epoch == then.epoch ? now.counts.since(then.counts) : now.counts
        headroom = stride.taking(flowed.most)
        told = stride
        writtenAt = moment.steady
    }

    /// It does not: what was begun is to be written as if it had not been.
    package mutating func refused() {
        coming = nil
        mustPersistAtOnce = true
    }
}

extension MeterCounts {
    fileprivate var most: UInt64 { max(total(at: .uplink), total(at: .tunnel)) }
    fileprivate var least: UInt64 { min(total(at: .uplink), total(at: .tunnel)) }
}
