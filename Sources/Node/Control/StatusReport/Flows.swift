// How full the tables are.

extension StatusReport {
    package struct Flows: Codable, Equatable, Sendable {
        package var live = 0
        package var capacity: Int
        package var opened: UInt64 = 0
        package var evicted: UInt64 = 0
        package var expired: UInt64 = 0
        /// Those that ended with the exit address by which they left.
        package var flushed: UInt64 = 0
    }

    /// How much of the outside ports is lent.
    package struct Bindings: Codable, Equatable, Sendable {
        /// Ports that flows borrow, of TCP or of UDP, whichever borrows more: each may borrow all of them.
        package var inUse = 0
        /// The ports of `binding_ports`.
        package var capacity: Int
    }
}
