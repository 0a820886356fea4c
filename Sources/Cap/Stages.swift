/// The stages of a cap, each beginning after the one before.
package struct Stages: Hashable, Sendable {
    package let list: [Stage]

    package init(_ list: [Stage]) { self.list = list }

    package static let usual = Stages([
        Stage(.share(.percent(80)), .warn), Stage(.share(.percent(90)), .pace(floor: Stage.usualFloor)),
        Stage(.share(.percent(95)), .rate(BitRate(512_000))), Stage(.share(.percent(100)), .stop),
    ])

    /// The stage that holds: none, or the last that has begun.
    ///
    /// It hangs on nothing that was before, so the right one holds at once after a restart, and no hysteresis is needed:
    /// within a period `used` only grows. A grant, a reset, a new period and new settings lead back, and act at once.
    package func stage(used: UInt64, of allowance: Allowance) -> Stage? {
        list.last { used >= beginning(of: $0, in: allowance) }
    }

    /// From how many bytes on the next stage will hold; nil when none is to come.
    package func beginning(after used: UInt64, in allowance: Allowance) -> UInt64? {
        list.map { beginning(of: $0, in: allowance) }.first { $0 > used }
    }

    /// From how many bytes on a stage holds. `stop` leaves the reserve, wherever its threshold is.
    package func beginning(of stage: Stage, in allowance: Allowance) -> UInt64 {
        let position = allowance.position(of: stage.threshold)
        return stage.action == .stop ? min(position, allowance.end) : position
    }
}

extension Stages: CustomStringConvertible {
    package var description: String {
        list.isEmpty ? "none" : list.map(\.description).joined(separator: ", ")
    }
}
