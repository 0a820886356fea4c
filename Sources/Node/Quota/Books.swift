import Cap
import FoundationEssentials
import LinuxSystem
import Logging

/// What a running node knows of its cap: the ledger, the settings, and what holds by both.
struct Books: ~Copyable {
    var keeper: Bookkeeper
    private(set) var settings: CapSettings
    private(set) var throttle = Throttle()
    /// What was last made of the counters; none while the kernel refuses to tell them.
    var refusal: KernelError?
    /// The ledger could not be written, and that was told.
    var isUnwritten = false
    /// Whose names the counters have, and why they have none, so that they end with this process.
    var bill: UInt64?
    var unpinned: KernelError?
    /// What they told when this session began to count.
    private let first: MeterCounts
    /// As last written, and why it could not be.
    private var status: StatusFile?
    private var isStatusRefused = false

    init(_ keeper: consuming Bookkeeper, _ settings: CapSettings) {
        first = keeper.ledger.account.reading.counts
        self.keeper = keeper
        self.settings = settings
    }

    /// Takes other settings of the same ledger.
    mutating func take(_ settings: CapSettings) {
        guard settings != self.settings else { return }
        if self.settings.statusFile != settings.statusFile { status = nil }
        self.settings = settings
    }

    mutating func count(_ reading: Reading, at now: Moment) {
        keeper.count(
            reading, in: settings.calendar.period(containing: now.wall).seconds, under: settings.limit?.bytes, at: now)
    }

    mutating func beginEnd(with reading: Reading, at now: Moment) -> LedgerWrite? {
        keeper.beginEnd(
            with: reading, in: settings.calendar.period(containing: now.wall).seconds, under: settings.limit?.bytes,
            at: now)
    }

    /// Takes the stage that holds now.
    mutating func follow(at now: Moment) {
        let account = keeper.ledger.account
        throttle.follow(
            account.consumption(by: settings.metering, at: now.wall), of: account.isUncapped ? nil : allowance,
            by: settings.stages, until: account.period.upperBound, now: now.wall)
    }

    /// What is to be written for who reads files, and where, if that is asked for and not there yet.
    func beginStatus() -> (StatusFile, path: String)? {
        guard let path = settings.statusFile else { return nil }
        let account = keeper.ledger.account
        let session = Usage(counts: account.reading.counts.since(first)).billed(by: settings.metering)
        let status = StatusFile(account, settings, throttle, session: session)
        return status == self.status ? nil : (status, path)
    }

    mutating func endStatus(_ status: StatusFile, _ refusal: KernelError?, _ log: Logger) {
        if let refusal, !isStatusRefused { log.warning("cap.status_file cannot be written: \(refusal)") }
        isStatusRefused = refusal != nil
        if refusal == nil { self.status = status }
    }

    private var allowance: Allowance? {
        settings.allowance(granted: ByteCount(keeper.ledger.account.granted))
    }

    /// Bytes of clients' packets after which it is to be looked again: well before the next stage begins, and before more has
    /// passed than the ledger vouches for. None where nothing of that can come.
    var distance: UInt64? {
        let billed = keeper.ledger.account.usage(at: SystemClock.seconds).billed(by: settings.metering)
        let toStage = allowance.flatMap { settings.stages.beginning(after: billed, in: $0) }.map { $0 - billed }
        // A small packet is billed with the headers of two tunnels; the last step to a stage may be longer than what is left.
        return [toStage.map { max($0, 1 << 21) }, keeper.credit.map { max($0, 1 << 18) }].compactMap { $0 }.min()
            .map { $0 / 8 }
    }
}
