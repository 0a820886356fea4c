import DataPlane
import FoundationEssentials
import LinuxNetwork
import LocalAPI
import PacketParse

// What a running node answers about its clients: what their ended flows have moved, and their live ones so far.

extension ClientsReport {
    /// Places that the loop copies between two batches.
    private static let run = 1024

    /// What one client has moved.
    private struct Sum {
        var total: ClientTotals.Total
        var live = 0
    }

    /// - Parameter names: nil where none are to be shown.
    init(_ state: RunningNode.State, top: Int, names: ClientNames.Answer?) throws(Refusal) {
        let addresses: ControlRequest.Addresses = names == nil ? .masked : .revealed
        guard case .running(let session) = state else {
            self.init(busiest: [], total: 0, addresses: addresses)
            return
        }
        // First what has ended: a flow that ends in between is missed this once, and never counted twice.
        var (sums, others) = try Self.ended(session)
        let (_, now) = try session.forEachFlow { flow in
            sums[flow.client, default: Sum(total: .init(of: flow.client))].total.add(flow)
            sums[flow.client]?.live += 1
        }
        var busiest = Busiest<Sum>(top)
        for sum in sums.values { busiest.offer(sum.total.bytes, sum) }
        let date = Date()
        var note: String?
        if case .failure(let failure)? = names { note = "no names, for tailscaled does not tell: \(failure)" }
        let known = try? names?.get()
        self.init(
            busiest: busiest.sorted().map { Client($0.total, live: $0.live, known?[$0.total.client], now, date) },
            others: others.flows > 0 ? Others(others) : nil, total: sums.count, addresses: addresses,
            since: session.startedAt, note: note)
    }

    private static func ended(
        _ session: Session
    ) throws(Refusal) -> (of: [IPAddress: Sum], others: ClientTotals.Total) {
        var sums: [IPAddress: Sum] = [:]
        var place = 0
        while true {
            let range = place..<place + run
            let (totals, others) = try session.ask { nat, _ in (nat.clients.totals(in: range), nat.clients.others) }
            for total in totals { sums[total.client] = Sum(total: total) }
            place = range.upperBound
            if totals.count < run { return (sums, others) }
        }
    }
}

extension ClientsReport.Client {
    fileprivate init(
        _ total: ClientTotals.Total, live: Int, _ name: String?, _ now: UInt32, _ date: Date
    ) {
        func moment(_ second: UInt32) -> Date { date.addingTimeInterval(Double(second) - Double(now)) }
        self.init(
            client: total.client.description, name: name, flows: total.flows, flowsLive: live,
            egressPackets: total.egressPackets, egressBytes: total.egressBytes, ingressPackets: total.ingressPackets,
            ingressBytes: total.ingressBytes, firstSeen: moment(total.firstSeen), lastSeen: moment(total.lastSeen))
    }
}

extension ClientsReport.Others {
    fileprivate init(_ total: ClientTotals.Total) {
        self.init(
            flows: total.flows, egressPackets: total.egressPackets, egressBytes: total.egressBytes,
            ingressPackets: total.ingressPackets, ingressBytes: total.ingressBytes)
    }
}
