package import FoundationEssentials

/// The busiest flows of a running node, as `forwarder flows` tells them.
package struct FlowsReport: Report, Equatable {
    package struct Flow: Codable, Equatable, Sendable {
        package var transport: String
        package var client: String
        /// An ICMP flow has its identifier here.
        package var clientPort: UInt16?
        package var remote: String
        package var remotePort: UInt16?
        /// The port that the flow borrows of the exit address.
        package var outsidePort: UInt16?
        package var state: String
        package var egressPackets: UInt64
        package var egressBytes: UInt64
        package var ingressPackets: UInt64
        package var ingressBytes: UInt64
        package var firstSeen: Date
        package var lastSeen: Date
    }

    package var schema = "forwarder.flows/1"
    package var flows: [Flow]
    /// Live flows in all.
    package var total: Int
    /// Of which so many are listed.
    package var shown: Int
    /// Whether addresses and telling ports were taken out.
    package var masked: Bool

    /// - Parameters:
    ///   - busiest: flows with their true addresses, the busiest first. What is not to be seen is masked here, before
    ///     it can leave the process.
    ///   - total: of live flows.
    package init(busiest: [Flow], total: Int, addresses: ControlRequest.Addresses) {
        flows = addresses == .masked ? busiest.map(\.masked) : busiest
        self.total = total
        shown = flows.count
        masked = addresses == .masked
    }
}

extension FlowsReport.Flow {
    /// The same flow, telling neither who talked nor to whom: networks instead of addresses, and of the ports only
    /// that of a well-known service.
    var masked: Self {
        var flow = self
        flow.client = maskedAddress(client, keeping: 2)
        flow.remote = maskedAddress(remote, keeping: 1)
        flow.clientPort = nil
        flow.outsidePort = nil
        if transport == "icmp" || transport == "icmpv6" || remotePort ?? 0 > 1_023 { flow.remotePort = nil }
        return flow
    }
}

/// `203.0.113.9` as `203.*.*.*`, `2001:db8::1` as `2001:*`.
///
/// - Parameter octets: how many octets of an IPv4 address stay; of an IPv6 address it is the first sixteen bits.
func maskedAddress(_ address: String, keeping octets: Int) -> String {
    if address.contains(":") {
        let group = address.prefix { $0 != ":" }
        return (group.isEmpty ? "0" : group) + ":*"
    }
    let parts = address.split(separator: ".")
    return parts.indices.map { $0 < octets ? String(parts[$0]) : "*" }.joined(separator: ".")
}
