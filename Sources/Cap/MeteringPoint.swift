/// Where bytes are counted.
package enum MeteringPoint: String, CaseIterable, Codable, Sendable {
    /// All of the interface: what a provider bills.
    case uplink
    /// The clients' packets inside the VPN.
    case tunnel
}

/// Which way of the counted bytes is billed.
package enum BilledDirection: String, CaseIterable, Codable, Sendable {
    case both, egress, ingress
    /// The larger of the two.
    case max
}
