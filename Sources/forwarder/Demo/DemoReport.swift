import Node

/// What `forwarder demo` answers.
struct DemoReport: Answer {
    var schema = "forwarder.demo/1"
    /// Everything arrived whole and was seen with the exit address, over IPv4 and over IPv6; nothing leaked; the cap held, and
    /// was counted to the byte; monitor and metrics showed it. Speed does not matter to it.
    let ok: Bool
    let io: StatusReport.IO
    /// Through WireGuard. What was seen is empty where nothing came through, and lists all where TCP and UDP differ.
    let exitAddressExpected, exitAddressSeen: String
    let exitAddressV6Expected, exitAddressV6Seen: String
    let ipv6Ok: Bool
    /// With which address Tailscale's servers saw the node.
    let controlAddressExpected, controlAddressSeen: String
    /// What left by the line at home, and belongs to nobody there, while the VPN was gone; nothing where it was not told.
    let leakedPackets: Int?
    /// Under the cap, since the same moment: what `quota` says, and what the far end of the uplink counted. Nothing where it was
    /// not told.
    let countedBytes, trueBytes: UInt64?
    /// Of the cap, as they began.
    let stages: [Capped.Stage]
    /// That arrived, of which so many through WireGuard; `sha256Match` judges them.
    let bytes, wireguardBytes: UInt64
    let sha256Match: Bool
    /// Between plain edges, medians; 0 where it could not be measured.
    let tcpGbitPerS, kernelTcpGbitPerS: Double
    /// Ours over the kernel's: the median of the ratios within each round.
    let tcpOfKernel: Double
    /// Opened in all.
    let flows: UInt64
    /// The busiest of them, masked.
    let busiest: [FlowsReport.Flow]
    let drops: [String: UInt64]
    /// What `forwarder monitor --once` printed while a client downloaded, line by line; empty where there was none.
    let picture: [String]
    /// What its metrics said in that moment: a few of so many series.
    let metrics: [String]
    let metricSeries: Int

    init(
        plain: Carried, wireGuard: Carried, exits: Exits, separation: Separation?, capped: Capped?, sight: Sight?,
        speeds: Speeds?
    ) {
        let whole = plain.isWhole && wireGuard.isWhole
        ok =
            whole && exits.v4.isRight && exits.v6.isRight && separation?.isRight == true && capped?.isRight == true
            && sight?.isRight == true && speeds != nil
        controlAddressExpected = separation?.controlExpected ?? ""
        controlAddressSeen = separation?.controlSeen ?? ""
        leakedPackets = separation?.leaked
        countedBytes = capped?.counted
        trueBytes = capped?.truth
        stages = capped?.stages ?? []
        io = plain.status.io
        exitAddressExpected = exits.v4.expected
        exitAddressSeen = exits.v4.seen
        exitAddressV6Expected = exits.v6.expected
        exitAddressV6Seen = exits.v6.seen
        ipv6Ok = exits.v6.isRight && plain.isWholeOverIPv6 && wireGuard.isWholeOverIPv6
        wireguardBytes = wireGuard.bytes
        bytes = plain.bytes + wireGuard.bytes
        sha256Match = whole
        tcpGbitPerS = speeds?.ours.median ?? 0
        kernelTcpGbitPerS = speeds?.kernel.median ?? 0
        tcpOfKernel = speeds.map { $0.ours.ratio(to: $0.kernel) } ?? 0
        flows = plain.status.flows.opened + wireGuard.status.flows.opened
        busiest = wireGuard.busiest
        drops = plain.status.drops.merging(wireGuard.status.drops, uniquingKeysWith: +)
        picture = sight?.picture ?? []
        metrics = sight?.metrics ?? []
        metricSeries = sight?.series ?? 0
    }

    var text: String {
        let facts = textTable(carriedRows + capRows + speedRows + flowRows)
        let flows = textTable(
            [["flow", "client", "remote", "state", "egress", "ingress"]]
                + busiest.map { flow in
                    [
                        flow.transport, FlowsReport.endpoint(flow.client, flow.clientPort),
                        FlowsReport.endpoint(flow.remote, flow.remotePort), flow.state,
                        bytesText(flow.egressBytes), bytesText(flow.ingressBytes),
                    ]
                })
        let verdict = ok ? "It works on this machine.\n" : "It does NOT work on this machine.\n"
        let shown = picture.isEmpty ? [] : ["What `forwarder monitor` shows:\n\n" + picture.map { $0 + "\n" }.joined()]
        let told =
            metrics.isEmpty
            ? [] : ["What Prometheus is told, some of \(metricSeries) series:\n\n" + metrics.map { $0 + "\n" }.joined()]
        return (shown + told + [facts, "The busiest flows, masked:\n" + flows, verdict]).joined(separator: "\n")
    }

    private var carriedRows: [[String]] {
        let seen = [exitAddressSeen, exitAddressV6Seen].map { $0.isEmpty ? "none" : $0 }
        return [
            ["bytes moved", "\(bytesText(bytes)), \(bytesText(wireguardBytes)) of them through WireGuard"],
            ["SHA-256", sha256Match ? "the same at both ends" : "NOT the same at both ends"],
            ["exit address expected", "\(exitAddressExpected)  \(exitAddressV6Expected)"],
            ["exit address seen", seen.joined(separator: "  ")],
            ["control expected", controlAddressExpected.isEmpty ? "none" : controlAddressExpected],
            ["control seen", controlAddressSeen.isEmpty ? "none" : controlAddressSeen],
            ["packets leaked", leakedPackets.map { "\($0), while the VPN was gone" } ?? "not told"],
        ]
    }

    private var capRows: [[String]] {
        [
            ["cap, counted", countedBytes.map { "\($0) bytes of \(Capped.cap)" } ?? "not told"],
            ["cap, true", trueBytes.map { "\($0) bytes at the far end of the uplink" } ?? "not told"],
            ["cap, stages", stages.isEmpty ? "none" : stages.map(\.stage).joined(separator: ", ")],
        ]
    }

    private var speedRows: [[String]] {
        [
            ["TCP, forwarder", "\(decimalText(tcpGbitPerS, places: 1)) Gbit/s by \(io.rawValue)"],
            ["TCP, kernel's routing", "\(decimalText(kernelTcpGbitPerS, places: 1)) Gbit/s with masquerade"],
            ["TCP, ratio", "\(decimalText(tcpOfKernel, places: 2)) of the kernel's, the median of three rounds"],
        ]
    }

    private var flowRows: [[String]] {
        let dropped = drops.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map { "\($0.value)  \($0.key)" }
        return [["flows", "\(flows)"], ["packets dropped", dropped.first ?? "none"]]
            + dropped.dropFirst().map { ["", $0] }
    }
}
