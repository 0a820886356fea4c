/// What a period has used by now.
package struct Consumption: Hashable, Sendable {
    /// Bytes as billed: at the metering point, in the directions that are billed.
    package let billed: UInt64
    /// Bytes of the clients' IP packets among them, both directions.
    package let clients: UInt64

    package init(billed: UInt64, clients: UInt64) {
        self.billed = billed
        self.clients = clients
    }
}

extension Account {
    /// As it is billed.
    package func consumption(by metering: Metering, at now: Int64) -> Consumption {
        let usage = usage(at: now)
        return Consumption(billed: usage.billed(by: metering), clients: usage.counts.total(at: .tunnel))
    }
}
