import ArgumentParser
import FoundationEssentials
import Node

struct Flows: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the busiest flows of the running node, by bytes both ways.")

    @Option(help: ArgumentHelp("How many to list.", valueName: "count"))
    var top = 20

    @Flag(help: "Show addresses and ports as they are.")
    var reveal = false

    @OptionGroup var options: SettingOptions<ReachingANode>

    @OptionGroup var answer: AnswerOptions

    func validate() throws {
        let range = ControlRequest.topRange
        guard range.contains(top) else {
            throw ValidationError("--top takes \(range.lowerBound) to \(range.upperBound), not \(top)")
        }
    }

    func run() throws {
        let report: FlowsReport = try ControlClient.ask(
            .flows(top: top, addresses: reveal ? .revealed : .masked), at: options.settings().controlSocket)
        try Output.answer(report, in: answer.form)
    }
}

extension FlowsReport: Answer {
    var text: String {
        let heading = ["flow", "client", "remote", "port", "state", "egress", "ingress", "age", "idle"]
        let now = Date.now
        let rows = flows.map { flow in
            [
                flow.transport, Self.endpoint(flow.client, flow.clientPort),
                Self.endpoint(flow.remote, flow.remotePort), flow.outsidePort.map(String.init) ?? "*", flow.state,
                bytesText(flow.egressBytes), bytesText(flow.ingressBytes),
                durationText(seconds: Int(now.timeIntervalSince(flow.firstSeen))),
                durationText(seconds: Int(now.timeIntervalSince(flow.lastSeen))),
            ]
        }
        let summary = "\(shown) of \(total) flows" + (masked ? ", addresses masked (--reveal shows them)" : "")
        return (rows.isEmpty ? "" : textTable([heading] + rows) + "\n") + summary + "\n"
    }

    static func endpoint(_ address: String, _ port: UInt16?) -> String {
        let port = port.map(String.init) ?? "*"
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}
