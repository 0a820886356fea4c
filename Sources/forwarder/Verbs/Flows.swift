import ArgumentParser
import FoundationEssentials
import Node

struct Flows: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the busiest flows of the running node, by bytes both ways.")

    @OptionGroup var list: ListOptions

    func run() throws {
        try list.show(.flows(top: list.top, addresses: list.addresses), as: FlowsReport.self)
    }
}

extension FlowsReport: Listing {
    func text(since earlier: Earlier?) -> String {
        // Two masked flows cannot be told apart.
        let isRated = !masked && earlier?.list.masked == false
        let known =
            isRated ? Dictionary(earlier?.list.flows.map { ($0.conversation, $0) } ?? []) { first, _ in first } : [:]
        let heading =
            ["flow", "client", "remote", "port", "state", "egress", "ingress"]
            + (isRated ? ["egress/s", "ingress/s"] : []) + ["age", "idle"]
        let (now, ago) = (Date.now, earlier?.ago ?? .zero)
        let rows = flows.map { flow in
            let before = known[flow.conversation]
            let rates = [
                rateText(flow.egressBytes, since: before?.egressBytes, ago: ago),
                rateText(flow.ingressBytes, since: before?.ingressBytes, ago: ago),
            ]
            return [
                flow.transport, Self.endpoint(flow.client, flow.clientPort),
                Self.endpoint(flow.remote, flow.remotePort), flow.outsidePort.map(String.init) ?? "*", flow.state,
                bytesText(flow.egressBytes), bytesText(flow.ingressBytes),
            ] + (isRated ? rates : [])
                + [flow.firstSeen, flow.lastSeen].map { durationText(seconds: Int(now.timeIntervalSince($0))) }
        }
        let summary = "\(shown) of \(total) flows" + (masked ? ", addresses masked (--reveal shows them)" : "")
        return (rows.isEmpty ? "" : textTable([heading] + rows) + "\n") + summary + "\n"
    }

    static func endpoint(_ address: String, _ port: UInt16?) -> String {
        let port = port.map(String.init) ?? "*"
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}

extension FlowsReport.Flow {
    /// The same in two looks, where nothing is masked.
    fileprivate var conversation: [String] {
        [transport, FlowsReport.endpoint(client, clientPort), FlowsReport.endpoint(remote, remotePort)]
    }
}
