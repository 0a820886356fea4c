import Testing

@testable import Cap

struct WatchedClockTests {
    private static let hour: Int64 = 3600

    /// What is made of each of these looks: seconds by the steady clock, and how far ahead the other is.
    private func beliefs(_ looks: (Int64, ahead: Int64)...) -> [Bool] {
        var clock = WatchedClock(at: Moment(0))
        return looks.map { clock.isBelieved(at: Moment($0, ahead: $1)) }
    }

    @Test func `clocks that go on alike are believed, after however long a time`() {
        #expect(beliefs((1, 0), (2, 0), (90_000_000, 0)) == [true, true, true])
    }

    @Test func `a minute ahead is no leap, again and again`() {
        #expect(beliefs((1, 60), (2, 120), (3, 180), (4, 241)) == [true, true, true, false])
    }

    @Test func `a clock that went back is believed, and one that is back`() {
        #expect(beliefs((10, -9), (20, -700_000_000), (30, -700_000_000)) == [true, true, true])
        #expect(beliefs((10, 90_000), (20, 90_000), (30, 0), (40, 0)) == [false, false, true, true])
    }

    @Test func `a leap is believed once both clocks have gone on alike for an hour`() {
        #expect(beliefs((10, 100), (Self.hour + 9, 100), (Self.hour + 10, 100)) == [false, false, true])
        #expect(beliefs((10, 100), (1800, 900), (Self.hour + 10, 900), (5400, 900)) == [false, false, false, true])
        #expect(beliefs((10, 900), (1800, 100), (Self.hour + 10, 100), (5400, 100)) == [false, false, false, true])
        #expect(beliefs((10, 100), (1800, 0), (1810, 100), (Self.hour + 20, 100)) == [false, true, false, false])
    }

    @Test func `the hour begins when the leap is seen, however long nobody has looked`() {
        #expect(beliefs((90_000, 100), (93_599, 100), (93_600, 100)) == [false, false, true])
    }

    @Test func `what follows a clock that had not been set is believed`() {
        var clock = WatchedClock(at: Moment(wall: 30, steady: 0))
        let beliefs = [Moment(1), Moment(2, ahead: 900)].map { clock.isBelieved(at: $0) }
        #expect(beliefs == [true, false])
    }
}
