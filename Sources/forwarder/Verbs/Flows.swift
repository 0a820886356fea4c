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
        let isRated = earlier != nil
        let heading =
            ["flow", "client", "remote", "port", "state", "egress", "ingress"]
            + (isRated ? ["egress/s", "ingress/s"] : []) + ["age", "idle"]
        let now = Date.now
        let rows = rated(flows, since: earlier?.list.flows, seconds: earlier?.seconds ?? 0).map { rated in
            let flow = rated.subject
            return [
                flow.transport, Self.endpoint(flow.client, flow.clientPort),
                Self.endpoint(flow.remote, flow.remotePort), flow.outsidePort.map(String.init) ?? "*", flow.state,
                bytesText(flow.egressBytes), bytesText(flow.ingressBytes),
            ] + (isRated ? rated.columns : [])
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
