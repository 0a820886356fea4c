package import Cap
package import FoundationEssentials
import LinuxSystem

/// What is used of the cap, as `forwarder quota` tells it. Bytes are those that are billed: at the metering point, in the directions
/// that count.
package struct QuotaReport: Report, Equatable {
    /// What a person should know of the count, for who compares. Scripts see the raw values: never renamed.
    package enum Finding: String, Codable, CaseIterable, Sendable {
        case slotBad = "slot_bad"
        case bothSlotsBad = "both_slots_bad"
        case cannotWrite = "cannot_write"
        case clockDoubtful = "clock_doubtful"
        case countersUnreadable = "counters_unreadable"
        case countersNotPinned = "counters_not_pinned"
        case uplinkUnknown = "uplink_unknown"
    }

    package struct Closed: Codable, Equatable, Sendable {
        package var periodStart: Date
        package var periodEnd: Date
        package var usedBytes: UInt64
        /// None where nothing was capped at its end.
        package var limitBytes: UInt64?
    }

    package var schema = "forwarder.quota/1"
    package var periodStart: Date
    package var periodEnd: Date
    /// Later than the period's start where counting began within it, or was reset.
    package var countedSince: Date
    /// With what was granted. None until the next period where the cap was lifted.
    package var limitBytes: UInt64?
    package var grantedBytes: UInt64
    package var usedBytes: UInt64
    package var remainingBytes: UInt64?
    package var projectedBytes: UInt64
    /// As in the settings; none before the first begins.
    package var stage: String?
    /// For clients, each direction for itself: 0 once they are stopped, none while they are not limited.
    package var rateBitPerS: UInt64?
    /// In which the periods begin.
    package var zone: String
    package var meter: MeteringPoint
    package var direction: BilledDirection
    /// Of the used: what a crash of the machine may have hidden, in the worst case.
    package var chargedBytes: UInt64
    /// By `egress` and `ingress`, then by class, of the uplinks.
    package var uplink: [String: [String: UInt64]] = [:]
    /// By `egress` and `ingress`: clients' packets inside the tunnel.
    package var tunnel: [String: UInt64] = [:]
    /// The oldest first, at most twelve.
    package var history: [Closed]
    package private(set) var findings: [Finding] = []
    /// The findings, each in a sentence.
    package private(set) var notes: [String] = []
    /// Whether a node counts now; else this is what the last one has written.
    package var isRunning: Bool
}

extension QuotaReport {
    init(_ account: Account, _ settings: CapSettings, _ throttle: Throttle, isRunning: Bool) {
        let usage = account.usage(at: SystemClock.seconds)
        let used = usage.billed(by: settings.metering)
        let period = BillingPeriod(start: account.period.lowerBound, end: account.period.upperBound)
        periodStart = Date(timeIntervalSince1970: Double(period.start))
        periodEnd = Date(timeIntervalSince1970: Double(period.end))
        countedSince = Date(timeIntervalSince1970: Double(account.countedSince))
        limitBytes = account.limit(under: settings.limit?.bytes)
        grantedBytes = account.granted
        usedBytes = used
        remainingBytes = limitBytes.map { $0 > used ? $0 - used : 0 }
        projectedBytes = period.projected(used: used, now: SystemClock.seconds, counted: account.countedSince)
        stage = throttle.stage.map { "\($0)" }
        rateBitPerS =
            switch throttle.passage {
            case .unlimited: nil
            case .limited(let rate): rate.bitsPerSecond
            case .stopped: 0
            }
        zone = settings.zone.name
        meter = settings.meter
        direction = settings.direction
        chargedBytes = usage.charged
        for way in MeterCounts.Direction.allCases {
            var classes: [String: UInt64] = [:]
            for kind in MeterCounts.Class.allCases { classes[kind.name] = usage.counts[way, kind] }
            uplink["\(way)"] = classes
            tunnel["\(way)"] = usage.counts[tunnel: way]
        }
        history = account.history.map { past in
            Closed(
                periodStart: Date(timeIntervalSince1970: Double(past.period.lowerBound)),
                periodEnd: Date(timeIntervalSince1970: Double(past.period.upperBound)),
                usedBytes: past.usage.billed(by: settings.metering), limitBytes: past.limit)
        }
        self.isRunning = isRunning
    }

    mutating func tell(_ finding: Finding, _ sentence: String) {
        findings.append(finding)
        notes.append(sentence)
    }

    mutating func tell(_ finding: LedgerFinding) { tell(Finding(finding), "\(finding)") }
}

extension QuotaReport.Finding {
    fileprivate init(_ finding: LedgerFinding) {
        self =
            switch finding {
            case .slotBad: .slotBad
            case .bothSlotsBad: .bothSlotsBad
            case .cannotWrite: .cannotWrite
            case .clockDoubtful: .clockDoubtful
            }
    }
}

extension LedgerFinding: CustomStringConvertible {
    package var description: String {
        switch self {
        case .slotBad: "one half of the ledger was damaged; the other was good"
        case .bothSlotsBad:
            "the ledger was damaged; the count began with what the kernel still knew, and with a reserve spent"
        case .cannotWrite(let error, let uncovered):
            "the ledger cannot be written (\(error)): it goes on in memory"
                + (uncovered > 0 ? ", and a power cut would lose \(ByteCount(uncovered))" : "")
        case .clockDoubtful(.behind):
            "the clock is before the period that is counted, or has not been set: the count goes on in that period"
        case .clockDoubtful(.ahead):
            "the clock has leapt past the end of the period that is counted: the count goes on in that period; set the "
                + "clock, or wait, if it is right: after an hour it is believed"
        }
    }
}
