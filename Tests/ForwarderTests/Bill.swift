import Foundation
import Glibc
import Lab
import Node
import Testing

/// A node between tunnels that is to have a cap, and what the far end of its uplink counts: the truth beside its bill.
struct Bill {
    /// Where the node keeps its ledger.
    static let directory = "/run/state"
    /// For every verb: where the ledger is.
    static let uncapped = ["--state-dir", directory, "--dns", "off"]
    /// For every verb: that, and a cap.
    static let capped = ["--cap", "1GB"] + uncapped

    let lab: WireGuardLab
    private let uplink: UplinkTruth

    init() throws(LabFailure) {
        lab = try WireGuardLab()
        try lab.node.run(["mkdir", Self.directory])
        uplink = try UplinkTruth(of: lab)
    }

    /// Where the truth begins means nothing; differences do.
    func truth() throws(LabFailure) -> Int64 { Int64(try uplink.bytes()) }

    /// The truth before something is done, which takes no time on a silent line.
    func silence() throws(LabFailure) -> Int64 { Int64(try uplink.beside {}.truth) }

    /// The truth while the line is silent, and what is said of the count in that moment.
    func settled() throws(LabFailure) -> (truth: Int64, used: Int64) {
        let (truth, used) = try uplink.beside { () throws(LabFailure) in try lab.quota().usedBytes }
        return (Int64(truth), Int64(used))
    }

    /// Bytes by which the count is above the truth, once the line is silent; the same at every such moment if it is right.
    func excess() throws(LabFailure) -> Int64 {
        let (truth, used) = try settled()
        return used - truth
    }
}

/// A node between plain edges that is to have a cap, whose line carries packets one by one, as a wire does: so the far end
/// counts what is to be counted.
struct PlainBill {
    let lab: PlainLab
    /// For every verb: where the ledger is, and what is billed.
    let uncapped: [String]

    init() throws(LabFailure) {
        lab = try PlainLab()
        uncapped = Bill.uncapped + ["--uplink", lab.vpnEdge]
        try lab.node.run(["mkdir", Bill.directory])
        for (host, link) in [(lab.node, lab.vpnEdge), (lab.internet, "eth0")] {
            try host.run([
                "ethtool", "-K", link, "tso", "off", "gso", "off", "gro", "off", "tx-udp-segmentation", "off",
            ])
        }
    }

    /// Starts the node and waits until it forwards.
    func start(_ arguments: [String]) throws(LabFailure) -> ForwarderProcess {
        try ForwarderProcess(Binary.path.path, on: lab, arguments + uncapped)
    }

    /// Both ways, at the far end. Where it begins means nothing; differences do.
    func truth() throws(LabFailure) -> Int {
        let counters = try lab.internet.counters(of: "eth0")
        return counters.receivedBytes + counters.sentBytes
    }

    /// Bytes by which the count is above the truth, once the line is silent.
    func excess() throws -> Int {
        var last = Int.min
        for _ in 0..<30 {
            let excess = Int(try lab.quota().usedBytes) - (try truth())
            if excess == last { return excess }
            last = excess
            usleep(200_000)
        }
        return last
    }

    func ping(expecting answers: Int = 1) throws {
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: answers == 0 ? 1 : 10) == answers)
    }
}

extension Lab {
    /// Starts the node with a cap and waits until it forwards.
    func startNode(cap: String = "1GB", _ arguments: [String] = []) throws(LabFailure) -> ForwarderProcess {
        try ForwarderProcess(Binary.path.path, on: self, ["--cap", cap] + Bill.uncapped + arguments)
    }

    /// What a verb prints on the node.
    func forwarder(_ arguments: [String]) throws(LabFailure) -> String {
        try node.run(ForwarderProcess.command(Binary.path.path) + arguments)
    }

    /// What `forwarder quota` answers on the node; where none runs, of a cap of 1 GB.
    ///
    /// - Parameter words: what follows the verb.
    func quota(_ words: [String] = []) throws(LabFailure) -> QuotaReport {
        let json = try forwarder(["quota"] + words + Bill.capped + ["--json"])
        do {
            return try QuotaReport(json: Data(json.utf8))
        } catch {
            throw LabFailure(couldNot: "understand quota", because: "\(error) in \(json)")
        }
    }

    /// Has so many bytes pass, whole.
    func move(
        _ bytes: Int, _ direction: Transfer.Direction = .download, patience: Duration = .seconds(10)
    ) throws(LabFailure) {
        let transfer = try Transfer(
            direction, bytes: bytes, client: client, server: internet, at: internetAddress.v4, patience: patience)
        #expect(transfer.isIntact)
    }
}

extension ForwarderProcess {
    /// Ends it as a crash does.
    func kill() throws {
        child.signal(SIGKILL)
        try #require(child.wait(upTo: .seconds(5)) == .killed(signal: SIGKILL), "\(child.standardError)")
    }

    /// Has it read its settings again, and take them.
    func reload() throws {
        var times: Int { child.standardError.components(separatedBy: "settings read again").count }
        let before = times
        child.signal(SIGHUP)
        try eventually { times > before }
    }
}
