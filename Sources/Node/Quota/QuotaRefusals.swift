import Cap
import LinuxSystem
import Steering
import SystemPackage

extension Refusal {
    /// Without a ledger nothing is known of what was used, and a cap would be no cap.
    init(ledger refusal: LedgerRefusal, in directory: String) {
        let couldNot = "keep the ledger of the cap in state_dir, \"\(directory)\""
        let elsewhere = "or name another: FORWARDER_STATE_DIR=/var/lib/forwarder"
        switch refusal {
        case .foreign(let version, let path):
            self.init(
                couldNot: couldNot,
                because: "\(path) was written by a later forwarder (version \(version) of its form)",
                remedy: "run that version, \(elsewhere)", exitCode: .unavailable)
        case .kernel(let error) where error.errno == .noSuchFileOrDirectory:
            self.init(
                couldNot: couldNot, because: "it is not there",
                remedy: "mkdir -p \(directory), where it outlives the container, \(elsewhere)", exitCode: .unavailable)
        case .kernel(let error) where error.errno == .wouldBlock:
            self.init(
                couldNot: couldNot, because: "another node keeps its ledger there",
                remedy: "give each a directory of its own, for example FORWARDER_STATE_DIR=/var/lib/forwarder-2",
                exitCode: .unavailable)
        case .kernel(let error) where error.errno == .notSupported:
            self.init(
                couldNot: couldNot, because: "\(error.subject) is no regular file",
                remedy: "move that away, \(elsewhere)", exitCode: .unavailable)
        case .kernel(let error):
            self.init(
                couldNot: couldNot, error,
                remedy: "make it a directory that this user can write, on a disk with room, \(elsewhere)")
        }
    }
}

extension Refusal {
    /// What was counted is on no disk yet, and not lost either.
    init(unsettled refusal: LedgerRefusal, in directory: String, _ pins: Pins) {
        let reason = Refusal(ledger: refusal, in: directory)
        self.init(
            couldNot: "write what was counted into the ledger in \(directory); all else is given back",
            because: "\(reason.because); until then \(pins.directory) holds the counters",
            remedy: "make the ledger a file that this user can write, then ask again: forwarder down",
            exitCode: reason.exitCode)
    }

    /// Of a running node's ledger, after a person's word.
    init(unwritten reason: String, in directory: String) {
        self.init(
            couldNot: "write that into the ledger yet",
            because: "\(reason); it holds, and is written once it can be",
            remedy: "\(Self.remedyUnwritten(directory)); do not ask a second time", exitCode: .unavailable)
    }

    /// What to do about a ledger that cannot be written.
    static func remedyUnwritten(_ directory: String) -> String {
        "see that \(directory) is there, can be written and has room"
    }

    static let nothingCapped = Refusal(
        couldNot: "tell what is used", because: "nothing is capped, so nothing is billed",
        remedy: "set a cap: FORWARDER_CAP=35GB", exitCode: .usage)

    static let notYetCounting = Refusal(
        couldNot: "tell what is used", because: "the node is starting, or stopping",
        remedy: "ask again in a moment", exitCode: .unavailable)

    /// Of a directory in which nothing of a ledger can be read.
    static func nothingWritten(in directory: String) -> Refusal {
        let isDamaged = LedgerFile.number(in: directory) != nil
        return Refusal(
            couldNot: "tell what is used",
            because: isDamaged
                ? "both halves of the ledger in \(directory) are damaged"
                : "no node has kept a ledger in \(directory) yet",
            remedy: isDamaged
                ? "start a node: it counts on with what the kernel still knows, and charges a reserve"
                : "start one with this cap, or name its FORWARDER_STATE_DIR", exitCode: .unavailable)
    }
}
