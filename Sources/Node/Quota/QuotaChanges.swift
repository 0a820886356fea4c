import Cap
import LinuxSystem

// What a person asks of the cap of a running node, and is told.

extension QuotaWatch {
    /// More bytes for this period.
    func grant(_ count: ByteCount) throws(Refusal) { try change { ledger, _ in ledger.grant(count.bytes) } }

    /// No cap until the next period.
    func lift() throws(Refusal) { try change { ledger, _ in ledger.liftCap() } }

    /// Counts from nothing.
    func reset() throws(Refusal) {
        try change { ledger, settings in
            let now = Moment.now
            ledger.reset(to: settings.calendar.period(containing: now.wall).seconds, at: now)
        }
    }
}

extension QuotaReport {
    /// Of a node that runs.
    init(_ books: borrowing Books, seesUplink: Bool) {
        self.init(books.keeper.ledger.account, books.settings, books.throttle, isRunning: true)
        for finding in books.keeper.findings { tell(finding) }
        if books.settings.meter == .uplink, !seesUplink {
            tell(.uplinkUnknown, "no uplink is known, so nothing is counted")
        }
        if let refusal = books.refusal { tell(.countersUnreadable, "the counters cannot be read: \(refusal)") }
        if let refusal = books.unpinned { tell(.countersNotPinned, Self.unpinned(refusal)) }
    }

    static func unpinned(_ refusal: KernelError) -> String {
        "what passes while no node runs is not counted: "
            + (refusal.errno == .fileExists
                ? "\(refusal.subject) is the name of another node's counters; end that, then forwarder down"
                : "no bpffs keeps the counters (\(refusal)); next: mount it")
    }
}
