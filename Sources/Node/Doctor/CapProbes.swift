import Cap
import Glibc
import LinuxSystem
import SystemPackage

// What the count of a cap needs here, and how the last one was left.

extension Probe {
    static let stateDirectory = Probe(
        "state_dir", "Where there is a cap, can its count be kept in state_dir, and outlive the container?",
        worst: .error
    ) { surroundings in
        guard surroundings.settings.cap.limit != nil else { return .ok("nothing is capped, so nothing is kept") }
        let directory = surroundings.settings.stateDirectory
        // Whoever keeps the ledger now says itself what it cannot write: the finding `ledger`.
        let obstacle = surroundings.isNodeThere ? nil : Probe.obstacle(toLedgerIn: directory)
        let isReadable = unsafe access(directory + "/ledger", R_OK) == 0
        return judge(directory, obstacle, isReadable: isReadable, on: Mount.holding(directory)?.type)
    }

    /// - Parameters:
    ///   - obstacle: what the kernel says to writing a ledger there.
    ///   - isReadable: whether one is there that can be read: it is counted on in memory.
    ///   - type: of the file system.
    static func judge(
        _ directory: String, _ obstacle: KernelError?, isReadable: Bool, on type: String?
    ) -> Finding {
        if let obstacle {
            let refusal = Refusal(ledger: .kernel(obstacle), in: directory)
            guard isReadable else { return .error(refusal) }
            return .warning(
                "the ledger in \(directory) cannot be written (\(refusal.because)): a node counts on in memory alone",
                remedy: refusal.remedy ?? "make it writable")
        }
        let volume = "give the container `volumes: [forwarder-state:\(directory)]`"
        switch type {
        case "tmpfs"?, "ramfs"?:
            return .warning(
                "\(directory) is in memory (\(type ?? "")): the count is lost with the container, or the machine",
                remedy: "\(volume), or name a directory on a disk: FORWARDER_STATE_DIR=/var/lib/forwarder")
        case "overlay"?:
            return .warning(
                "\(directory) is on an overlay, as a container's own files are: the count is lost once that is made anew",
                remedy: volume)
        default:
            return .ok("the count \(isReadable ? "is" : "can be") kept in \(directory)")
        }
    }

    /// What the kernel would say to who opens the ledger, or makes it.
    private static func obstacle(toLedgerIn directory: String) -> KernelError? {
        let isThere = LedgerFile.number(in: directory) != nil
        let path = isThere ? directory + "/ledger" : directory + "/"
        guard unsafe access(path, isThere ? R_OK | W_OK : W_OK | X_OK) == 0 else {
            return KernelError("access", Errno(rawValue: errno), isThere ? path : directory)
        }
        var facts = statvfs()
        // What is there already is written in its place. Where there are no blocks, there is no limit.
        guard !isThere, unsafe statvfs(directory, &facts) == 0, facts.f_blocks > 0,
            UInt64(facts.f_bavail) * UInt64(facts.f_frsize) < LedgerFile.size
        else { return nil }
        return KernelError("write", .noSpace, directory)
    }

    static let ledger = Probe(
        "ledger", "Is the count of the cap whole, and the clock not before it?", worst: .error
    ) { surroundings in
        let directory = surroundings.settings.stateDirectory
        if let status = surroundings.status {
            guard status.cap != nil else { return .ok("the node that runs has no cap") }
            do throws(Refusal) {
                let report: QuotaReport = try ControlClient.ask(
                    .quota(nil), at: surroundings.settings.controlSocket)
                return judge(report.findings, saying: report.notes, of: directory)
            } catch {
                return .notAsked(error.because, remedy: error.remedy ?? "forwarder quota")
            }
        }
        guard surroundings.settings.cap.limit != nil else { return .ok("nothing is capped, so nothing is counted") }
        do throws(LedgerRefusal) {
            guard let content = try LedgerFile.read(in: directory) else {
                return .ok("there is none in \(directory) yet; a node begins it")
            }
            return judge(
                content.badSlots.count, of: directory, begun: content.entry?.account.period.lowerBound,
                now: SystemClock.seconds)
        } catch {
            return .error(Refusal(ledger: error, in: directory))
        }
    }

    /// - Parameter begun: when the period in force began.
    static func judge(_ badSlots: Int, of directory: String, begun: Int64?, now: Int64) -> Finding {
        var findings: [QuotaReport.Finding] = []
        var notes: [String] = []
        if let begun, now < begun {
            findings.append(.clockDoubtful)
            notes.append("\(LedgerFinding.clockDoubtful(.behind))")
        }
        switch badSlots {
        case 0: break
        case 1:
            findings.append(.slotBad)
            notes.append("one half of the ledger is damaged; the other is good")
        default:
            findings.append(.bothSlotsBad)
            notes.append("the ledger is damaged: a node begins with what the kernel still knows, and charges a reserve")
        }
        return judge(findings, saying: notes, of: directory)
    }

    /// The gravest is told, with what to do about it.
    static func judge(_ findings: [QuotaReport.Finding], saying notes: [String], of directory: String) -> Finding {
        let judged = zip(findings, notes).map { finding, note in
            Finding(severity: finding.severity, evidence: note, remedy: finding.remedy(in: directory))
        }
        return judged.max { $0.severity < $1.severity } ?? .ok("the ledger in \(directory) is whole")
    }
}

extension QuotaReport.Finding {
    fileprivate var severity: Finding.Severity { self == .slotBad ? .note : .warning }

    fileprivate func remedy(in directory: String) -> String {
        switch self {
        case .slotBad: "the next write mends it; if it comes again, look at the disk: dmesg"
        case .bothSlotsBad:
            "compare `forwarder quota` with your provider's count; where that is more, lower FORWARDER_CAP until the "
                + "period ends"
        case .cannotWrite: Refusal.remedyUnwritten(directory)
        case .clockDoubtful:
            "set the clock: timedatectl set-ntp true; if it is right, and was set just now, wait an hour; if it was "
                + "ahead before: forwarder quota reset --yes"
        case .countersUnreadable: "start the node again: forwarder run"
        case .countersNotPinned: Probe.mountingBPFFS
        case .uplinkUnknown: "name the interface that the home line is on: FORWARDER_UPLINK=eth0"
        }
    }
}
