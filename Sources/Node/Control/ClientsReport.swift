package import FoundationEssentials

/// The clients that moved most through a running node, as `forwarder clients` tells them.
package struct ClientsReport: Report, Equatable {
    package struct Client: Codable, Equatable, Sendable {
        /// By which the tailnet knows it.
        package var client: String
        /// What tailscaled calls it; nothing where it was not asked, or does not say.
        package var name: String?
        /// Flows that it has opened, ended ones included.
        package var flows: UInt64
        /// Of which so many live.
        package var flowsLive: Int
        package var egressPackets: UInt64
        package var egressBytes: UInt64
        package var ingressPackets: UInt64
        package var ingressBytes: UInt64
        package var firstSeen: Date
        package var lastSeen: Date
    }

    /// What ended flows moved of clients that are not known one by one any more.
    package struct Others: Codable, Equatable, Sendable {
        package var flows: UInt64
        package var egressPackets: UInt64
        package var egressBytes: UInt64
        package var ingressPackets: UInt64
        package var ingressBytes: UInt64
    }

    package var schema = "forwarder.clients/1"
    package var clients: [Client]
    package var others: Others?
    /// Clients in all.
    package var total: Int
    /// Of which so many are listed.
    package var shown: Int
    /// Whether addresses and names were taken out.
    package var masked: Bool
    /// When counting began.
    package var since: Date?
    /// Why there are no names.
    package var note: String?

    /// - Parameters:
    ///   - busiest: clients with their true addresses, the busiest first. What is not to be seen is masked here, before
    ///     it can leave the process.
    ///   - total: of clients that are known.
    package init(
        busiest: [Client], others: Others? = nil, total: Int, addresses: ControlRequest.Addresses, since: Date? = nil,
        note: String? = nil
    ) {
        clients = addresses == .masked ? busiest.map(\.masked) : busiest
        self.others = others
        self.total = total
        shown = clients.count
        masked = addresses == .masked
        self.since = since
        self.note = note
    }
}

extension ClientsReport.Client {
    /// The same client, telling only of which network it is.
    var masked: Self {
        var client = self
        client.client = maskedAddress(self.client, keeping: 2)
        client.name = nil
        return client
    }
}
