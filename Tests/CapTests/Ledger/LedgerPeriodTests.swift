import Testing

@testable import Cap

/// When a period ends, by clocks that are right and by those that are not.
struct LedgerPeriodTests {
    @Test func `at its end a period is closed with its limit, and the next begins at nothing`() {
        var ledger = Ledger.written(month(0))
        ledger.record(Reading(sent: 10))
        ledger.grant(5)
        ledger.enter(month(0), under: 100, at: Moment(999))
        ledger.enter(month(1), under: 100, at: Moment(1000))
        ledger.record(Reading(sent: 12))
        let past = ClosedPeriod(
            period: month(0), countedSince: later(1), usage: Usage(counts: Reading(sent: 10).counts), limit: 105)
        #expect(ledger.account.history == [past])
        #expect(ledger.account.period == month(1))
        #expect(ledger.account.countedSince == later(1000))
        #expect(ledger.account.usage == Usage(counts: Reading(sent: 2).counts))
        #expect(ledger.account.granted == 0)
    }

    @Test func `a lifted cap lasts until the next period`() {
        var ledger = Ledger.written(month(0))
        ledger.liftCap()
        #expect(ledger.account.limit(under: 100) == nil)
        ledger.enter(month(1), under: 100, at: Moment(1000))
        #expect(ledger.account.limit(under: 100) == 100)
        #expect(ledger.account.history.map(\.limit) == [nil])
    }

    @Test func `twelve past periods are kept, the latest`() {
        var ledger = Ledger.written(month(0))
        for number in Int64(1)...20 { ledger.enter(month(number), under: nil, at: Moment(number * 1000 + 5)) }
        #expect(ledger.account.history.map(\.period) == (8..<20).map { month($0) })
    }

    @Test func `a closed period never opens again, and the clock that would have it is doubted`() {
        var ledger = Ledger.written(month(3))
        ledger.enter(month(7), under: nil, at: Moment(7500))
        ledger.record(Reading(sent: 10))
        for wall: Int64 in [3500, 0, 6999] {
            ledger.enter(month(wall / 1000), under: nil, at: Moment(wall))
            ledger.record(Reading(sent: 10))
            #expect(ledger.clockDoubt == .behind)
        }
        #expect(ledger.account.period == month(7))
        #expect(ledger.account.usage.billed(by: Metering()) == 10)
        ledger.enter(month(7), under: nil, at: Moment(7000))
        #expect(ledger.clockDoubt == nil)
    }

    @Test func `a clock that leaps past a period's end closes nothing, and once it is back nothing has happened`() {
        var ledger = Ledger.written(month(3))
        ledger.enter(month(3), under: 100, at: Moment(3100))
        ledger.grant(5)
        ledger.record(Reading(sent: 10))
        for number in [Int64(4), 40, 400_000] {
            ledger.enter(month(number), under: 100, at: Moment(3110, ahead: number * 1000 - 3000))
            #expect(ledger.clockDoubt == .ahead)
            ledger.record(Reading(sent: 10 + UInt64(number)))
        }
        ledger.enter(month(3), under: 100, at: Moment(3200))
        #expect(ledger.clockDoubt == nil)
        #expect(ledger.account.period == month(3) && ledger.account.history.isEmpty)
        #expect(ledger.account.countedSince == later(1))
        #expect(ledger.account.limit(under: 100) == 105)
        #expect(ledger.account.usage.counts == Reading(sent: 400_010).counts)
    }

    @Test func `a leap that has stood for an hour closes the period`() {
        var ledger = Ledger.written(month(0))
        ledger.record(Reading(sent: 10))
        for (seconds, isClosed) in [(Int64(10), false), (3609, false), (3610, true)] {
            let now = Moment(seconds, ahead: 90_000)
            ledger.enter(month(now.wall / 1000 - later(0) / 1000), under: 100, at: now)
            #expect(ledger.clockDoubt == (isClosed ? nil : .ahead))
            #expect(ledger.account.history.count == (isClosed ? 1 : 0))
        }
        #expect(ledger.account.period == month(93))
    }

    @Test func `a leap within the period in force is not told of, and closes nothing later`() {
        var ledger = Ledger.written(month(0))
        ledger.enter(month(0), under: nil, at: Moment(2, ahead: 900))
        #expect(ledger.clockDoubt == nil)
        ledger.enter(month(1), under: nil, at: Moment(102, ahead: 900))
        #expect(ledger.clockDoubt == .ahead && ledger.account.period == month(0))
    }

    @Test func `a start believes its clock, and so does who resets`() {
        var ledger = Ledger.written(month(0))
        let ahead = Moment(10, ahead: 5000)
        let resumed = Ledger(
            resuming: ledger.closingEntry(at: Moment(5)), in: month(5), under: nil, from: Reading(), at: ahead)
        #expect(resumed.account.period == month(5) && resumed.account.history.map(\.period) == [month(0)])
        ledger.enter(month(5), under: nil, at: ahead)
        ledger.reset(to: month(5), at: ahead)
        ledger.enter(month(6), under: nil, at: Moment(1000, ahead: 5000))
        #expect(ledger.account.period == month(6) && ledger.clockDoubt == nil)
    }

    @Test func `a clock that was ahead and is back has both counts held against the cap`() {
        var ledger = Ledger.written(month(3))
        ledger.record(Reading(sent: 10))
        ledger.enter(month(4), under: nil, at: Moment(4500))
        ledger.record(Reading(sent: 15))
        func billed(at wall: Int64) -> UInt64 {
            ledger.account.usage(at: Moment(wall).wall).billed(by: Metering())
        }
        #expect(billed(at: 4500) == 5)
        #expect(billed(at: 3900) == 15)
        #expect(billed(at: 2900) == 5, "of a period that nothing is known of")
    }

    @Test func `a calendar set anew within a period moves its bounds, keeps its count and reopens nothing`() {
        var ledger = Ledger.written(month(1))
        ledger.record(Reading(sent: 10))
        ledger.enter(later(1500)..<later(2500), under: nil, at: Moment(1600))
        #expect(ledger.account.period == later(1500)..<later(2500))
        ledger.enter(later(2500)..<later(3500), under: nil, at: Moment(2500))
        ledger.record(Reading(sent: 15))
        ledger.enter(month(2), under: nil, at: Moment(2600))
        #expect(ledger.account.period == later(2500)..<later(3000))
        #expect(ledger.account.usage.billed(by: Metering()) == 5)
        #expect(ledger.account.history.map { $0.usage.billed(by: Metering()) } == [10])
    }

    @Test func `what is counted before the clock is set belongs to the first period of a clock that is`() {
        var ledger = Ledger(0..<1000, from: Reading(sent: 4), at: Moment(wall: 5, steady: 0))
        ledger.enter(1000..<2000, under: nil, at: Moment(wall: 1001, steady: 0))
        ledger.record(Reading(sent: 10))
        #expect(ledger.clockDoubt == .behind)
        ledger.enter(month(3), under: nil, at: Moment(3500))
        ledger.record(Reading(sent: 12))
        #expect(ledger.clockDoubt == nil)
        #expect(ledger.account.period == month(3))
        #expect(ledger.account.countedSince == later(3500))
        #expect(ledger.account.usage.billed(by: Metering()) == 12)
        #expect(ledger.account.history == [])
    }

    @Test func `a calendar that does not know the moment changes nothing`() {
        var ledger = Ledger.written(month(1))
        ledger.enter(month(5), under: nil, at: Moment(3000))
        #expect(ledger.account.period == month(1))
    }

    @Test func `a reset counts from nothing in the clock's period, and keeps grants and the past`() {
        var ledger = Ledger.written(month(3))
        ledger.enter(month(7), under: nil, at: Moment(7500))
        ledger.record(Reading(sent: 10))
        ledger.grant(3)
        ledger.reset(to: month(4), at: Moment(4200))
        ledger.record(Reading(sent: 12))
        #expect(ledger.account.usage.billed(by: Metering()) == 2)
        #expect(ledger.account.countedSince == later(4200))
        #expect(ledger.account.period == month(4))
        #expect(ledger.account.granted == 3)
        #expect(ledger.account.history.count == 1)
        // The closed period ends before this moment or with it: nothing is in the way of the next.
        ledger.enter(month(5), under: nil, at: Moment(5000))
        #expect(ledger.account.period == month(5))
    }
}
