/// The stage in force, and what it lets the clients have.
package struct Throttle: Hashable, Sendable {
    package private(set) var stage: Stage?
    private var pace: Pace?

    package init() {}

    package enum Passage: Hashable, Sendable {
        case unlimited
        /// Bits of the clients' IP packets, each direction for itself.
        case limited(BitRate)
        case stopped
    }

    package var passage: Passage {
        switch stage?.action {
        case nil, .warn: .unlimited
        case .rate(let rate): .limited(rate)
        case .pace(let floor): .limited(pace?.rate ?? floor)
        case .stop: .stopped
        }
    }

    /// Brings it up to the moment.
    ///
    /// - Parameters:
    ///   - allowance: nil where nothing is capped, for good or until the next period.
    ///   - end: of the period; both times in seconds since 1970.
    package mutating func follow(
        _ usage: Consumption, of allowance: Allowance?, by stages: Stages, until end: Int64, now: Int64
    ) {
        let next = allowance.flatMap { stages.stage(used: usage.billed, of: $0) }
        if next != stage { pace = nil }
        stage = next
        // A clock past the end of the period in force is in doubt, and says nothing of the time that is left.
        guard let allowance, case .pace(let floor) = next?.action, now < end else { return }
        let rate = BitRate.lasting(until: end, from: now, usage, of: allowance, floor: floor)
        if pace == nil { pace = Pace(rate) } else { pace?.follow(rate) }
    }
}
