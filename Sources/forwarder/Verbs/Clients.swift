import ArgumentParser
import FoundationEssentials
import Node

struct Clients: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List what each client has moved since the node started, the busiest first.")

    @OptionGroup var list: ListOptions

    func run() throws {
        try list.show(.clients(top: list.top, addresses: list.addresses), as: ClientsReport.self)
    }
}

extension ClientsReport: Listing {
    /// Characters of a name, so that the figures behind it stay in the window.
    private static let nameLimit = 40

    func text(since earlier: Earlier?) -> String {
        let isRated = earlier != nil
        let isNamed = clients.contains { $0.name != nil }
        let now = Date.now
        func row(
            _ client: String, _ name: String, _ rest: [String], _ egress: UInt64, _ ingress: UInt64, _ rates: [String],
            _ times: [String]
        ) -> [String] {
            [client] + (isNamed ? [name] : []) + rest + [bytesText(egress), bytesText(ingress)]
                + (isRated ? rates : []) + times
        }
        var rows = rated(clients, since: earlier?.list.clients, seconds: earlier?.seconds ?? 0).map { rated in
            let client = rated.subject
            return row(
                client.client, String((client.name ?? "").prefix(Self.nameLimit)),
                ["\(client.flows)", "\(client.flowsLive)"], client.egressBytes,
                client.ingressBytes, rated.columns,
                [client.firstSeen, client.lastSeen].map { durationText(seconds: Int(now.timeIntervalSince($0))) })
        }
        if let others {
            rows.append(
                row(
                    "others", "", ["\(others.flows)", ""], others.egressBytes, others.ingressBytes, ["", ""], ["", ""]))
        }
        let heading =
            ["client"] + (isNamed ? ["name"] : []) + ["flows", "live", "egress", "ingress"]
            + (isRated ? ["egress/s", "ingress/s"] : []) + ["known", "idle"]
        let age = since.map { ", counted for \(durationText(seconds: Int(now.timeIntervalSince($0))))" } ?? ""
        let summary = "\(shown) of \(total) clients\(age)" + (masked ? ", masked (--reveal shows who)" : "")
        return (rows.isEmpty ? "" : textTable([heading] + rows) + "\n") + summary + "\n"
            + (note.map { "note: \($0)\n" } ?? "")
    }
}
