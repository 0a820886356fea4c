package import LinuxSystem
internal import SystemPackage

/// What a person should know of the ledger.
package enum LedgerFinding: Sendable {
    /// One slot was damaged when the ledger was opened; the count is that of the other.
    case slotBad(Int)
    /// Both were: the count began with what the kernel still knew, and the reserve spent.
    case bothSlotsBad
    /// The count goes on in memory. What a power cut would hide of it: `uncovered` octets.
    case cannotWrite(KernelError, uncovered: UInt64)
    case clockDoubtful(ClockDoubt)
}

/// Keeps the ledger and its file in step.
///
/// One that cannot be written is written as soon as it can: nothing that was counted meanwhile is forgotten. Who must not wait for
/// a disk has another thread write, by `begin`; counting goes on meanwhile.
package struct Bookkeeper: ~Copyable {
    package private(set) var ledger: Ledger
    /// None while a write is under way.
    private var disk: LedgerDisk?
    private let found: LedgerFinding?
    /// Why it could not be written when that was last tried.
    package private(set) var refusal: KernelError?
    private var refusedAt: UInt64
    /// A person waits for the next write.
    private var isUrgent = false
    /// The counters have been read since the last write: each has a reading of its own, or what passed by what was told before it
    /// would not be covered.
    private var isFresh = true
    /// Nanoseconds after a refusal before the disk is asked again.
    private static let patience: UInt64 = 1_000_000_000

    /// Opens the ledger in a directory, or creates it, and records a first reading. Traffic may pass once this returns,
    /// up to `headroom`.
    ///
    /// A ledger that can be read but not written is no obstacle.
    ///
    /// - Parameter uncappedSince: since when what the ledger does not know was counted without a cap. It is billed with the
    ///   period in force if all of it is of that.
    /// - Throws: what can neither be read nor created; EWOULDBLOCK when another process writes it.
    package init(
        in directory: String, _ period: Range<Int64>, under cap: UInt64?, from reading: Reading,
        uncappedSince: Int64? = nil, at now: Moment,
        _ interference: @escaping Interference.Source = { _, _ in .none }
    ) throws(LedgerRefusal) {
        var opened: LedgerFile?
        var content: LedgerContent?
        var refused: KernelError?
        do throws(LedgerRefusal) {
            opened = try LedgerFile.open(in: directory, interference)
            content = opened?.content
        } catch {
            guard case .kernel(let refusal) = error, refusal.errno != .wouldBlock,
                let readable = try LedgerFile.read(in: directory, interference)
            else { throw error }
            content = readable
            refused = refusal
        }
        var ledger: Ledger
        if let entry = content?.entry {
            ledger = Ledger(
                resuming: entry, in: period, under: cap, from: reading, uncappedSince: uncappedSince, at: now)
        } else {
            let charged = content == nil ? 0 : Ledger.leastReserve
            ledger = Ledger(
                period, from: reading, charged: charged, uncappedSince: content == nil ? uncappedSince : nil, at: now)
        }
        if content == nil {
            let entry = ledger.begin(at: now)
            do throws(KernelError) { opened = try LedgerFile.create(in: directory, entry, interference) } catch {
                throw .kernel(error)
            }
            ledger.persisted(entry, at: now)
        }
        if refused != nil { ledger.distrustDisk() }
        self.ledger = ledger
        refusal = refused
        refusedAt = now.steady
        disk = LedgerDisk(opened, in: directory, interference)
        found =
            switch content?.badSlots.count {
            case 2: .bothSlotsBad
            case 1: content?.badSlots.first.map { .slotBad($0) }
            default: nil
            }
        if refused == nil { writeIfDue(at: now) }
    }

    package var findings: [LedgerFinding] {
        var findings = found.map { [$0] } ?? []
        if let refusal { findings.append(.cannotWrite(refusal, uncovered: ledger.uncovered)) }
        if let doubt = ledger.clockDoubt { findings.append(.clockDoubtful(doubt)) }
        return findings
    }

    /// How much may pass before it is to be written again; none while it cannot be.
    package var credit: UInt64? { refusal == nil && disk != nil ? ledger.headroom : nil }

    /// Whether no write is under way, and none due for a person's word: `refusal` tells how the last has ended.
    package var isSettled: Bool { disk != nil && !isUrgent }

    /// Takes the calendar's period for now and what the kernel has counted.
    package mutating func count(_ reading: Reading, in period: Range<Int64>, under cap: UInt64?, at now: Moment) {
        ledger.enter(period, under: cap, at: now)
        ledger.record(reading)
        isFresh = true
    }

    /// Writes what is due, by who can wait for the disk.
    package mutating func writeIfDue(at now: Moment) {
        guard var write = begin(at: now) else { return }
        let refusal = write.perform()
        end(write, refusal, at: now)
    }

    /// What a person has said. A write is due at once then.
    package mutating func change(with reading: Reading, _ body: (inout Ledger) -> Void) {
        ledger.record(reading)
        body(&ledger)
        isUrgent = true
        isFresh = true
    }

    /// The write that is due; whoever takes it performs it and gives it back. What passes in between is covered, up to the headroom;
    /// `uncovered` tells the rest.
    package mutating func begin(at now: Moment) -> LedgerWrite? {
        guard disk != nil, isFresh, isUrgent || ledger.mustPersist(at: now) else { return nil }
        if refusal != nil, !isUrgent, now.steady < refusedAt &+ Self.patience { return nil }
        isUrgent = false
        return LedgerWrite(disk.take(), ledger.begin(at: now))
    }

    /// The last, of a clean stop: a later start charges no reserve. What the kernel counts from here on is known to it only if
    /// the counters live until then. Nothing is to be recorded afterwards.
    package mutating func beginEnd(
        with reading: Reading, in period: Range<Int64>, under cap: UInt64?, at now: Moment
    ) -> LedgerWrite? {
        count(reading, in: period, under: cap, at: now)
        guard disk != nil else { return nil }
        isUrgent = false
        return LedgerWrite(disk.take(), ledger.closingEntry(at: now))
    }

    package mutating func end(_ write: consuming LedgerWrite, _ refusal: KernelError?, at now: Moment) {
        self.refusal = refusal
        if refusal == nil { ledger.persisted(write.entry, at: now) } else { ledger.refused() }
        if refusal != nil { refusedAt = now.steady }
        disk = write.disk
        isFresh = false
    }

    /// The last reading of a clean stop, by who can wait for the disk.
    package consuming func close(
        with reading: Reading, in period: Range<Int64>, under cap: UInt64?, at now: Moment
    ) throws(KernelError) {
        guard var write = beginEnd(with: reading, in: period, under: cap, at: now) else { return }
        if let refusal = write.perform() { throw refusal }
    }
}
