import Testing

@testable import Cap

/// How much of the count the disk vouches for, and when it is to be written.
struct LedgerReserveTests {
    @Test func `the headroom shrinks with what passes and is whole again after a write`() {
        var ledger = Ledger.written()
        #expect(ledger.headroom == Ledger.leastReserve / 2)
        ledger.record(Reading(sent: 1000, received: 24))
        #expect(ledger.headroom == Ledger.leastReserve / 2 - 1024)
        ledger.persisted(ledger.begin(at: Moment(2)), at: Moment(2))
        #expect(ledger.headroom == Ledger.leastReserve / 2)
        ledger.record(Reading(sent: 1000 + Ledger.leastReserve, received: 29))
        #expect(ledger.headroom == 0)
        #expect(ledger.uncovered == 5)
    }

    @Test func `the reserve grows with what passes between two readings`() {
        var ledger = Ledger.written()
        ledger.record(Reading(sent: 10 * Ledger.leastReserve))
        #expect(ledger.begin(at: Moment(2)).reserve == 40 * Ledger.leastReserve)
    }

    @Test
    func `each write allows twice as much as the one before until they are apart, and less after a rest`() {
        var ledger = Ledger.written()
        var sent: UInt64 = 0
        var seconds: Int64 = 1
        func write(after wait: Int64) -> UInt64 {
            // In small readings: what passes between two of them is not what this is about.
            for _ in 0..<20 {
                sent += ledger.headroom / 24
                ledger.record(Reading(sent: sent))
            }
            seconds += wait
            #expect(ledger.mustPersist(at: Moment(seconds)))
            ledger.persisted(ledger.begin(at: Moment(seconds)), at: Moment(seconds))
            return ledger.headroom
        }
        #expect((0..<4).map { _ in write(after: 0) } == [1, 2, 4, 8].map { $0 * Ledger.leastReserve })
        #expect(write(after: 1) == 8 * Ledger.leastReserve)
        ledger.persisted(ledger.begin(at: Moment(seconds + 1)), at: Moment(seconds + 1))
        #expect(ledger.headroom == Ledger.leastReserve / 2)
    }

    @Test func `a reserve covers what was told before it, for that may still be passing`() {
        var ledger = Ledger.written()
        ledger.record(Reading(sent: 10 * Ledger.leastReserve))
        ledger.persisted(ledger.begin(at: Moment(2)), at: Moment(2))
        #expect(ledger.headroom == 20 * Ledger.leastReserve)
        for _ in 0..<30 { ledger.record(Reading(sent: 10 * Ledger.leastReserve)) }
        let first = ledger.begin(at: Moment(3))
        #expect(first.reserve == 20 * Ledger.leastReserve + Ledger.leastReserve / 2)
        ledger.persisted(first, at: Moment(3))
        #expect(ledger.headroom == Ledger.leastReserve / 2)
        #expect(ledger.begin(at: Moment(4)).reserve == Ledger.leastReserve)
    }

    // MARK: - When to write

    @Test func `a write is due once half of the reserve is used`() {
        var ledger = Ledger.written()
        ledger.record(Reading(sent: Ledger.leastReserve / 8))
        #expect(!ledger.mustPersist(at: Moment(2)))
        ledger.record(Reading(sent: Ledger.leastReserve / 4))
        #expect(ledger.mustPersist(at: Moment(2)))
    }

    @Test func `traffic that begins after a rest waits for no write but the next`() {
        var ledger = Ledger.written()
        ledger.record(Reading(sent: 10 * Ledger.leastReserve))
        ledger.persisted(ledger.begin(at: Moment(2)), at: Moment(2))
        for _ in 0..<30 { ledger.record(Reading(sent: 10 * Ledger.leastReserve)) }
        ledger.persisted(ledger.begin(at: Moment(3)), at: Moment(3))
        // The reserve on disk is still the large one, the headroom is not.
        ledger.record(Reading(sent: 11 * Ledger.leastReserve))
        #expect(ledger.headroom == 0)
        #expect(ledger.mustPersist(at: Moment(3)))
    }

    @Test func `a write is due after ten seconds with a change and after sixty without`() {
        var ledger = Ledger.written()
        #expect(!ledger.mustPersist(at: Moment(60)))
        #expect(ledger.mustPersist(at: Moment(61)))
        ledger.record(Reading(sent: 1))
        #expect(!ledger.mustPersist(at: Moment(10)))
        #expect(ledger.mustPersist(at: Moment(11)))
    }

    @Test func `a person's word and a new period are written at once`() {
        let acts: [(inout Ledger) -> Void] = [
            { $0.grant(1) }, { $0.liftCap() }, { $0.reset(to: always, at: Moment(1)) },
            { $0.enter(always.upperBound..<later(2_000_000), under: nil, at: Moment(1_000_000)) },
        ]
        for act in acts {
            var ledger = Ledger.written()
            act(&ledger)
            #expect(ledger.mustPersist(at: Moment(1)))
        }
    }
}
