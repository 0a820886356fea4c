import Glibc
import Lab
import Node

/// Provokes every flow in every state of one node, and has what the observers see judged.
struct Provocation {
    private let node: Deployed
    private let flows: [Flow]
    private let isOver: () -> Bool
    private var ledger: Ledger
    /// In milliseconds.
    private(set) var recoveries: [Double] = []
    private(set) var notRecovered = 0
    private(set) var controlSeen = false

    /// - Parameter isOver: whether somebody wants an end.
    init(on node: Deployed, flows: [Flow] = Flow.all, until isOver: @escaping () -> Bool = { false }) {
        self.node = node
        self.flows = flows
        self.isOver = isOver
        ledger = Ledger(of: node.lab, from: 1)
    }

    var rows: [LeaktestReport.Row] { ledger.rows }

    /// Nothing holds anything back: the client's packets and tailscaled's lookups must all be seen on the uplink.
    mutating func seeTheControl() throws(LabFailure) {
        ledger.open("guard_off", .init(node: .absent, vpnIsUp: false))
        // The client's tunnel may take a moment to stand, and who speaks only once would not be heard until then.
        let begin = ContinuousClock.now
        while ledger.seenOfChatter < Self.enough, begin.duration(to: .now) < Self.patience {
            usleep(20_000)
            ledger.take()
            try endIfAsked()
        }
        try look()
        // Each probe, or one family could be watched by nobody. The client without pause has had no answer yet to begin with; and
        // who says that he is the host, IPv4 forwards for nobody (fib_validate_source).
        controlSeen = rows.filter { $0.expected == .uplink }.allSatisfy { row in
            switch row.flow {
            case Ledger.chatter: row.uplink > 0
            case Flow.asHome: row.uplink >= row.probes / 2
            default: row.uplink == row.probes
            }
        }
    }

    /// All is closed, and nobody runs; then somebody begins to.
    mutating func seeTheStart() throws(LabFailure) {
        ledger.isDuring = false
        try node.putGuard()
        ledger.take()
        ledger.open("guarded", .init(node: .guarded))
        try look()
        ledger.isDuring = false
        ledger.open("starting", .init(node: .starting))
        try node.start()
        // A volley for each of its steps.
        while !node.isForwarding {
            try ledger.fire(flows)
            usleep(20_000)
            ledger.take()
            try endIfAsked()
        }
        try settle()
        try awaitEcho()
    }

    /// The fault, what is seen in its state, its cure, and what is seen then. If no echo comes after the cure, the node is of
    /// no use for more.
    mutating func see(_ condition: Condition) throws(LabFailure) {
        ledger.take()
        ledger.open(condition.state, condition.circumstances)
        try condition.provoke(node)
        try look()
        ledger.isDuring = false
        try condition.cure(node)
        guard let cured = condition.cured else { return try awaitEcho() }
        ledger.take()
        ledger.open(cured, .init())
        // What is sent while a node starts, an earlier state has shown.
        let isNew = condition.circumstances.node == .dead
        if !isNew { try ledger.fire(flows) }
        let recovery = node.lab.chatter.echo(upTo: Self.patience)
        if let recovery { recoveries.append(recovery / .milliseconds(1)) } else { notRecovered += 1 }
        if isNew { try ledger.fire(flows) }
        try settle()
    }

    /// How it ended, of the last condition that was seen.
    func told(_ condition: Condition) -> String {
        if notRecovered > 0 { return "\(condition.state): no echo came back" }
        guard condition.cured != nil, let recovery = recoveries.last else { return condition.state }
        return "\(condition.state): traffic is back after \(decimalText(recovery, places: 0)) ms"
    }

    private mutating func look() throws(LabFailure) {
        try ledger.fire(flows)
        try settle()
    }

    /// Takes in what is seen until all that is to be seen was, and a while longer for what is not.
    private mutating func settle() throws(LabFailure) {
        let begin = ContinuousClock.now
        repeat {
            usleep(50_000)
            ledger.take()
            try endIfAsked()
        } while begin.duration(to: .now) < (ledger.isComplete ? Self.silence : Self.slowness)
        guard node.lab.missed == 0 else {
            throw LabFailure(
                couldNot: "watch the node", because: "the observers were too slow for \(node.lab.missed) packets")
        }
    }

    private func endIfAsked() throws(LabFailure) {
        if isOver() { throw LabFailure(couldNot: "finish the test", because: "it was interrupted") }
    }

    private func awaitEcho() throws(LabFailure) {
        guard node.lab.chatter.echo(upTo: Self.patience) == nil else { return }
        throw LabFailure(
            couldNot: "hear an echo through the node",
            because: node.forwarder?.child.standardError.split(separator: "\n").suffix(5).joined(separator: "; ")
                ?? "none runs")
    }

    /// How long a probe may take to be seen, and how long must be watched for one that is not to be.
    private static let slowness = Duration.seconds(1)
    private static let silence = Duration.milliseconds(200)
    /// Datagrams of the client without pause on the uplink by which it is seen that his tunnel stands.
    private static let enough = 50
    /// How long traffic may take to come back before that is given up.
    private static let patience = Duration.seconds(15)
}
