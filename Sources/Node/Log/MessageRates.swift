import Logging

/// Holds each message to ten at once and then one a second, so that a host in trouble does not drown its log in it.
///
/// A message is a place in the code, whatever it says each time: as many are remembered as there are places. Of what is held
/// back the last stays, and is told with the number of the others once there is room: who reads sees how it ended.
struct MessageRates: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// Where a message comes from, and how grave it is.
    struct Place: Hashable, Sendable {
        let file: String
        let line: UInt
        let level: Logger.Level
    }

    private struct Rate: Sendable {
        /// Until when what was told is paid for: each line costs an interval.
        var paid: Instant
        var heldBack = 0
        var last: LogLine?

        mutating func admit(at now: Instant) -> Bool {
            guard paid - now <= MessageRates.interval * (MessageRates.burst - 1) else { return false }
            paid = max(paid, now) + MessageRates.interval
            return true
        }
    }

    private static let burst = 10
    private static let interval = Duration.seconds(1)

    private var rates: [Place: Rate] = [:]
    private var isHoldingBack = false

    /// - Returns: what is to be written now: the line, behind the number of those that were held back before it; or nothing.
    mutating func offer(_ line: LogLine, from place: Place, at now: Instant) -> [LogLine] {
        var rate = rates[place] ?? Rate(paid: now)
        defer { rates[place] = rate }
        guard rate.admit(at: now) else {
            rate.heldBack += 1
            rate.last = line
            isHoldingBack = true
            return []
        }
        defer { (rate.heldBack, rate.last) = (0, nil) }
        return Self.told(line, after: rate.heldBack)
    }

    /// What was held back and may be written by now, the oldest first.
    mutating func settle(at now: Instant) -> [LogLine] {
        guard isHoldingBack else { return [] }
        isHoldingBack = false
        var due: [[LogLine]] = []
        for (place, var rate) in rates {
            guard let last = rate.last else { continue }
            if rate.admit(at: now) {
                due.append(Self.told(last, after: rate.heldBack - 1))
                (rate.heldBack, rate.last) = (0, nil)
                rates[place] = rate
            } else {
                isHoldingBack = true
            }
        }
        return due.sorted { $0[0].at < $1[0].at }.flatMap(\.self)
    }

    private static func told(_ line: LogLine, after heldBack: Int) -> [LogLine] {
        guard heldBack > 0 else { return [line] }
        return [LogLine(at: line.at, line.level, "\(heldBack) like the next line were held back"), line]
    }
}
