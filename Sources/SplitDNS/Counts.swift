/// How often what happened to queries, by side. No name is among it.
package struct Counts: Codable, Equatable, Sendable {
    package struct OfSide: Codable, Equatable, Sendable {
        /// Queries sent, second tries not counted.
        package var relayed: UInt64 = 0
        package var answered: UInt64 = 0
        /// Neither of two tries was answered.
        package var timedOut: UInt64 = 0
        /// Not sent, or sent and refused on the way: no interface, no route, nobody there.
        package var unreachable: UInt64 = 0
        /// Messages that came from the resolver's address and answer something else.
        package var mismatched: UInt64 = 0
    }

    package var direct = OfSide()
    package var vpn = OfSide()
    /// Messages that are no question.
    package var malformed: UInt64 = 0
    /// Queries and connections beyond what is held at a time.
    package var refused: UInt64 = 0

    package init() {}

    package internal(set) subscript(side: Side) -> OfSide {
        get { side == .direct ? direct : vpn }
        set { if side == .direct { direct = newValue } else { vpn = newValue } }
    }
}
