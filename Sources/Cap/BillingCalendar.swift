/// When a provider's months begin: at 00:00 of the reset day, by the clocks of a zone.
package struct BillingCalendar: Hashable, Sendable {
    /// 1 to 31. A month that lacks it begins on its last day.
    package let resetDay: Int
    package let zone: Zone

    package init(resetDay: Int, zone: Zone) {
        self.resetDay = resetDay
        self.zone = zone
    }

    /// The period that a moment is in, in seconds since 1970.
    package func period(containing moment: Int64) -> BillingPeriod {
        var month = Month(near: moment / 86_400)
        while start(in: month) > moment { month = month.advanced(by: -1) }
        while start(in: month.advanced(by: 1)) <= moment { month = month.advanced(by: 1) }
        return BillingPeriod(start: start(in: month), end: start(in: month.advanced(by: 1)))
    }

    private func start(in month: Month) -> Int64 {
        beginning(ofDay: month.firstDay + Int64(min(resetDay, month.length)) - 1)
    }

    /// The first instant at which the zone's clocks show the day, or a later one: some days begin at 01:00, and Apia had no
    /// 30 December 2011. Where clocks are set back over midnight and the day begins twice, its first beginning counts.
    private func beginning(ofDay day: Int64) -> Int64 {
        let midnight = day * 86_400
        // No zone has been this far from UTC since 1901.
        let farthest: Int64 = 16 * 3_600
        var instant = midnight - farthest
        while true {
            let shown = max(instant, midnight - zone.offset(at: instant))
            guard let change = zone.nextChange(after: instant), change <= shown else { return shown }
            instant = change
        }
    }
}

/// A month of the Gregorian calendar, counted from January of the year 0.
private struct Month {
    let number: Int64

    init(number: Int64) { self.number = number }

    /// One that is a month at most from a day's, given since 1970.
    init(near day: Int64) {
        // Four hundred years, after which the calendar repeats, have 146,097 days.
        number = 1970 * 12 + day * 4_800 / 146_097
    }

    func advanced(by months: Int64) -> Month { Month(number: number + months) }

    /// In days since 1970.
    var firstDay: Int64 {
        // Years that begin with March have their leap day at the end, where it moves no month.
        let (year, month) = (number - 2).quotientAndRemainder(dividingBy: 12)
        let leapDays = year / 4 - year / 100 + year / 400
        return 365 * year + leapDays + (153 * month + 2) / 5 - 719_468
    }

    var length: Int { Int(advanced(by: 1).firstDay - firstDay) }
}
