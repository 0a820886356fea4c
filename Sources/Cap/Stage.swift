/// What happens from a threshold on: `95% rate 512kbit/s`.
package struct Stage: Hashable, Sendable {
    package let threshold: Portion
    package let action: Action

    package init(_ threshold: Portion, _ action: Action) {
        self.threshold = threshold
        self.action = action
    }

    package enum Action: Hashable, Sendable {
        /// Nothing but that it is told.
        case warn
        case rate(BitRate)
        /// What is left, over the time left.
        case pace(floor: BitRate)
        /// Nothing for the clients any more.
        case stop
    }

    package static let usualFloor = BitRate(64_000)
}

/// As it is written in the settings.
extension Stage: CustomStringConvertible {
    package var description: String { "\(threshold) \(action)" }
}

extension Stage.Action: CustomStringConvertible {
    package var description: String {
        switch self {
        case .warn: "warn"
        case .rate(let rate): "rate \(rate)"
        case .pace(Stage.usualFloor): "pace"
        case .pace(let floor): "pace \(floor)"
        case .stop: "stop"
        }
    }
}
