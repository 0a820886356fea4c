import Testing

@testable import Cap

/// What is counted, and what of it is billed.
struct LedgerTests {
    // MARK: - Counting

    @Test func `readings of one epoch count what came between them`() {
        var ledger = Ledger.written()
        for sent: UInt64 in [5, 5, 12, 100] { ledger.record(Reading(sent: sent, received: sent / 2)) }
        #expect(ledger.account.usage.counts == Reading(sent: 100, received: 50).counts)
        #expect(ledger.account.usage.charged == 0)
    }

    @Test func `a first reading counts whole, for nobody knows since when`() {
        #expect(Ledger.written(sent: 77).account.usage.billed(by: Metering()) == 77)
    }

    @Test func `after a kill the counters that lived on make the count exact`() {
        var ledger = Ledger.written()
        ledger.record(Reading(sent: 100))
        let entry = ledger.begin(at: Moment(2))
        let resumed = Ledger(resuming: entry, in: always, under: nil, from: Reading(sent: 9_000_000), at: Moment(3))
        #expect(resumed.account.usage == Usage(counts: Reading(sent: 9_000_000).counts))
    }

    @Test func `after a power cut the new counters count whole and the reserve is charged once`() {
        var ledger = Ledger.written()
        ledger.record(Reading(sent: 100))
        let entry = ledger.begin(at: Moment(2))
        var resumed = Ledger(resuming: entry, in: always, under: nil, from: Reading(map: 2, sent: 30), at: Moment(3))
        #expect(resumed.account.usage == Usage(counts: Reading(sent: 130).counts, charged: Ledger.leastReserve))
        #expect(resumed.headroom == 0)
        #expect(resumed.mustPersist(at: Moment(3)))
        resumed.record(Reading(map: 2, sent: 40))
        #expect(resumed.account.usage == Usage(counts: Reading(sent: 140).counts, charged: Ledger.leastReserve))
    }

    @Test func `after a clean stop new counters cost nothing`() {
        var ledger = Ledger.written()
        ledger.record(Reading(sent: 100))
        let entry = ledger.closingEntry(at: Moment(2))
        let resumed = Ledger(resuming: entry, in: always, under: nil, from: Reading(map: 2, sent: 1), at: Moment(3))
        #expect(resumed.account.usage == Usage(counts: Reading(sent: 101).counts))
    }

    @Test func `a counter that went backwards counts whole, and the reserve is charged less what was seen of it`() {
        var ledger = Ledger.written()
        ledger.record(Reading(sent: 1000, received: 500))
        var seen = Reading(sent: 1000, received: 500)
        seen.counts[tunnel: .egress] = 400
        ledger.record(seen)
        ledger.record(Reading(sent: 7, received: 600))
        #expect(ledger.account.usage.counts.total(.egress, at: .uplink) == 1007)
        #expect(ledger.account.usage.counts.total(.ingress, at: .uplink) == 600)
        #expect(ledger.account.usage.charged == Ledger.leastReserve - 400)
    }

    @Test func `counts that no file should hold stay at the largest number`() {
        var first = Ledger.written()
        var entry = first.begin(at: Moment(1))
        entry.account.usage = Usage(counts: MeterCounts { .max }, charged: .max)
        entry.account.granted = .max
        entry.reserve = .max
        var ledger = Ledger(
            resuming: entry, in: always, under: .max, from: Reading(map: 2, sent: .max, received: .max), at: Moment(0))
        ledger.grant(.max)
        ledger.record(Reading(map: 2))
        ledger.record(Reading(map: 2, sent: .max))
        #expect(ledger.account.usage.billed(by: Metering(.both)) == .max)
        #expect(ledger.account.limit(under: .max) == .max)
        #expect(ledger.begin(at: Moment(2)).reserve == .max)
    }

    // MARK: - What is billed

    @Test func `each rule bills its directions of its point`() {
        var usage = Usage(counts: Reading(sent: 10, received: 100).counts)
        usage.counts[.ingress, .leaked] = 7
        usage.counts[tunnel: .egress] = 3
        usage.counts[tunnel: .ingress] = 2
        let uplink = BilledDirection.allCases.map { usage.billed(by: Metering(at: .uplink, $0)) }
        let tunnel = BilledDirection.allCases.map { usage.billed(by: Metering(at: .tunnel, $0)) }
        #expect(uplink == [117, 10, 107, 107])
        #expect(tunnel == [5, 3, 2, 3])
        usage.charged = 1000
        let billed = BilledDirection.allCases.map { usage.billed(by: Metering(at: .tunnel, $0)) }
        #expect(billed == [1005, 1003, 1002, 1003])
    }

    // MARK: - Before there was a cap

    @Test func `what was counted before there was a cap is billed where all of it is of this period`() {
        for (since, used) in [(Int64(5000), UInt64(77)), (5400, 77), (4999, 0), (-1_000_000, 0)] {
            let new = Ledger(
                month(5), from: Reading(sent: 77), uncappedSince: later(since), at: Moment(5500))
            #expect(new.account.usage.billed(by: Metering()) == used)
            #expect(new.account.countedSince == later(used > 0 ? since : 5500))
            #expect(new.account.reading == Reading(sent: 77))

            for map: UInt32 in [1, 2] {
                var former = Ledger.written(month(4), sent: 10)
                former.record(Reading(sent: 30))
                let resumed = Ledger(
                    resuming: former.closingEntry(at: Moment(4900)), in: month(5), under: nil,
                    from: Reading(map: map, sent: 107), uncappedSince: later(since), at: Moment(5500))
                let came: UInt64 = map == 1 ? 77 : 107
                #expect(resumed.account.usage == Usage(counts: Reading(sent: used > 0 ? came : 0).counts))
                #expect(resumed.account.countedSince == later(used > 0 ? 5000 : 5500))
                #expect(resumed.account.history.map { $0.usage.billed(by: Metering()) } == [30])
            }
        }
    }

    @Test func `what a ledger knows of this period stays, also where what came without a cap is left out`() {
        var former = Ledger.written(month(5))
        former.record(Reading(sent: 30))
        let entry = former.begin(at: Moment(5100))
        var resumed = Ledger(
            resuming: entry, in: month(5), under: nil, from: Reading(map: 2, sent: 107), uncappedSince: later(1),
            at: Moment(5500))
        #expect(resumed.account.usage == Usage(counts: Reading(sent: 30).counts, charged: Ledger.leastReserve))
        #expect(resumed.account.countedSince == entry.account.countedSince)
        resumed.record(Reading(map: 2, sent: 110))
        #expect(resumed.account.usage.counts == Reading(sent: 33).counts)
    }

    @Test func `a clock set back leaves nothing out`() {
        var ahead = Ledger.written(month(7))
        ahead.record(Reading(sent: 30))
        let resumed = Ledger(
            resuming: ahead.closingEntry(at: Moment(7100)), in: month(5), under: nil, from: Reading(sent: 40),
            uncappedSince: later(5400), at: Moment(5500))
        #expect(resumed.account.usage.counts == Reading(sent: 40).counts)
        #expect(resumed.clockDoubt == .behind)
    }
}
