import Lab
import Node

/// What a client met under a cap, stage by stage, and what was counted beside the truth.
struct Capped {
    /// A stage that began, and what a client had of it.
    struct Stage: Codable, Equatable, Sendable {
        /// As in the settings.
        let stage: String
        /// Of the cap, when it was first seen to hold.
        let usedBytes: UInt64
        /// What it allows the client each way: none while it is not limited, 0 once it is stopped.
        let rateBitPerS: UInt64?
        /// What the client got by the first download that began in it and arrived; none where none did. Of the stop: 0, where the
        /// first did not.
        var clientBitPerS: UInt64?

        /// The client got something, unless it is stopped, and no more than is allowed.
        var isHeld: Bool {
            guard let clientBitPerS else { return false }
            let most = rateBitPerS ?? .max
            return clientBitPerS <= most && (clientBitPerS > 0) == (most > 0)
        }

        fileprivate var sentence: String {
            let speed = clientBitPerS.map { decimalText(Double($0) / 1e6, places: 1) }
            let had = clientBitPerS == 0 ? "nothing arrives" : "\(speed ?? "?") Mbit/s arrive"
            return "\(stage), from \(bytesText(usedBytes)) on: \(had)"
        }
    }

    static let cap = "60MB"
    static let expectedStages = ["50% warn", "70% rate 20Mbit/s", "90% stop"]

    /// Since the same moment: what `quota` says, and what the far end of the uplink counted.
    let counted, truth: UInt64
    /// In bytes.
    let limit: UInt64
    /// In the order in which they began.
    let stages: [Stage]
    /// It still answered when clients were stopped.
    let isNodeReachable: Bool

    var isRight: Bool {
        counted == truth && counted <= limit && isNodeReachable
            && stages.map(\.stage) == Self.expectedStages && stages.allSatisfy(\.isHeld)
    }

    var sentence: String {
        let node = isNodeReachable ? "still answers" : "does NOT answer"
        let line = counted == truth ? "the same" : "NOT that but \(truth)"
        return "the node itself \(node); \(counted) bytes counted, and by the far end of the uplink \(line)"
    }
}

extension Capped {
    /// Some 4.5 MB at the uplink, by both tunnels: less than any stage lasts for, and less than is left when the last begins.
    private static let download = 2_000_000

    /// Downloads again and again, until nothing arrives.
    init(in lab: WireGuardLab) throws(LabFailure) {
        let directory = "/run/state"
        try lab.node.run(["mkdir", directory])
        let uplink = try UplinkTruth(of: lab)
        let settings = ["--cap", Self.cap, "--cap-stages", Self.expectedStages.joined(separator: ", ")]
        let forwarder = try ForwarderProcess(on: lab, settings + ["--state-dir", directory])
        func quota(_ arguments: [String] = []) throws(LabFailure) -> QuotaReport {
            try forwarder.ask(["quota"] + arguments)
        }
        let reset = try uplink.beside { () throws(LabFailure) in try quota(["reset", "--yes"]) }
        stages = try Self.stagesMet(in: lab) { () throws(LabFailure) in try quota() }
        isNodeReachable = try lab.client.ping(lab.nodeAddress.v4, count: 1) == 1
        let end = try uplink.beside { () throws(LabFailure) in try quota() }
        counted = end.told.usedBytes
        limit = end.told.limitBytes ?? 0
        truth = end.truth - reset.truth
        forwarder.stop()
    }

    private static func stagesMet(
        in lab: WireGuardLab, _ quota: () throws(LabFailure) -> QuotaReport
    ) throws(LabFailure) -> [Stage] {
        var met: [Stage] = []
        for _ in 0..<40 {
            let speed = downloadSpeed(in: lab)
            let now = try quota()
            guard let stage = now.stage else { continue }
            if met.last?.stage != stage {
                // It began within this download: what the client has of it, the next one shows.
                met.append(Stage(stage: stage, usedBytes: now.usedBytes, rateBitPerS: now.rateBitPerS))
            } else if met[met.count - 1].clientBitPerS == nil, speed > 0 || now.rateBitPerS == 0 {
                met[met.count - 1].clientBitPerS = speed
                Output.say("  \(met[met.count - 1].sentence)")
                if now.rateBitPerS == 0 { break }
            }
        }
        return met
    }

    /// In bits per second; 0 where not all of it arrived.
    private static func downloadSpeed(in lab: WireGuardLab) -> UInt64 {
        let done = try? Transfer(
            .download, bytes: download, client: lab.client, server: lab.internet, at: lab.internetAddress.v4,
            patience: .seconds(3))
        guard let done, done.isIntact, done.bytes == download else { return 0 }
        return UInt64(Double(download * 8) / done.seconds)
    }
}
