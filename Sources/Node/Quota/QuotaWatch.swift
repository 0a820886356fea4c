import Cap
import DataPlane
import Glibc
import LinuxSystem
import Logging
import Steering
import Synchronization
import SystemPackage

/// Follows what is used of the cap: reads the counters, keeps the ledger, and has the loop let pass what the stage allows.
///
/// On two threads of its own. One looks, the other writes: a disk may take its time, and nothing waits for it but that one.
final class QuotaWatch: Sendable {
    /// Milliseconds between two looks while clients move little: what else uses the line is counted, and not held up.
    private static let interval: Int32 = 1000
    /// Milliseconds that the end waits for a disk.
    private static let patience: Int32 = 3000

    let directory: String
    let books: Mutex<Books>
    private let session: Session
    private let log: Logger
    private let isStopping = Atomic<Bool>(false)
    /// Nobody looks any more, and whoever writes ends.
    private let isOver = Atomic<Bool>(false)
    /// There may be something to write.
    private let due: EventDescriptor
    private let ended: EventDescriptor

    /// Opens the ledger, counts what came since it was last written, and sets what may pass.
    ///
    /// - Parameter uncappedSince: since when the session has counted without a cap; nil where it had one from its start.
    /// - Throws: why there can be no ledger.
    init(
        _ settings: CapSettings, in directory: String, of session: Session, uncappedSince: Int64?, _ log: Logger
    ) throws(Refusal) {
        let now = Moment.now
        let reading = try refusing(couldNot: "read the counters") { () throws(KernelError) in try session.readMeters() }
        let keeper: Bookkeeper
        do throws(LedgerRefusal) {
            // Those of a node with a cap may have counted until this one, without, took their place.
            if uncappedSince != nil {
                _ = try Pins(ofLedgerIn: directory)?.settle(settings, in: directory, sparing: reading.map)
            }
            keeper = try Bookkeeper(
                in: directory, settings.calendar.period(containing: now.wall).seconds, under: settings.limit?.bytes,
                from: Reading(reading), uncappedSince: uncappedSince, at: now)
        } catch {
            throw Refusal(ledger: error, in: directory)
        }
        self.directory = directory
        self.session = session
        self.log = log
        due = try refusing(couldNot: "follow the cap") { () throws(KernelError) in try EventDescriptor() }
        ended = try refusing(couldNot: "follow the cap") { () throws(KernelError) in try EventDescriptor() }
        for finding in keeper.findings { log.warning("\(finding)") }
        books = Mutex(Books(keeper, settings))
        pin()
        books.withLock { look(&$0) }
        try refusing(couldNot: "follow the cap") { () throws(KernelError) in try begin() }
    }

    private func begin() throws(KernelError) {
        _ = try LinuxSystem.Thread(named: "fwd-ledger") { [self] in
            while !isOver.load(ordering: .acquiring) {
                if due.wait(milliseconds: -1) { write() }
            }
            close()
            ended.signal()
        }
        do throws(KernelError) {
            _ = try LinuxSystem.Thread(named: "fwd-quota") { [self] in
                while !isStopping.load(ordering: .acquiring) {
                    session.awaitBell(milliseconds: Self.interval)
                    books.withLock { look(&$0) }
                }
                endWriting()
            }
        } catch {
            endWriting()
            throw error
        }
    }

    private func endWriting() {
        isOver.store(true, ordering: .releasing)
        due.signal()
    }

    /// Sees that there is a place for a ledger, before anything is changed.
    static func expectDirectory(_ settings: NodeSettings) throws(Refusal) {
        // The dot is there only in a directory, and found only where that may be entered.
        guard settings.cap.limit != nil, unsafe access(settings.stateDirectory + "/.", F_OK) != 0 else { return }
        throw Refusal(
            ledger: .kernel(KernelError("access", Errno(rawValue: errno), settings.stateDirectory)),
            in: settings.stateDirectory)
    }

    /// The last reading, written so that nothing is charged at the next start.
    ///
    /// - Returns: whether it is on disk.
    func end() -> Bool {
        isStopping.store(true, ordering: .releasing)
        session.ringNow()
        guard ended.wait(milliseconds: Self.patience) else {
            log.error("the disk does not answer, so the ledger in \(directory) is not written at the end")
            return false
        }
        let isWritten = books.withLock { $0.keeper.refusal == nil && $0.refusal == nil }
        if !isWritten {
            log.error(
                "the ledger in \(directory) is not written at the end: the next start knows what the kernel's counters still tell, and no grant since the last write"
            )
        }
        return isWritten
    }

    /// Takes other settings of the same ledger.
    func follow(_ settings: CapSettings) {
        books.withLock { $0.take(settings) }
        session.ringNow()
    }

    // MARK: Looking

    /// As it is now: whoever asks need not wait for the next look.
    var report: QuotaReport {
        books.withLock { books in
            look(&books)
            return report(of: books)
        }
    }

    /// As of the last look.
    var latestReport: QuotaReport { books.withLock { report(of: $0) } }

    private func report(of books: borrowing Books) -> QuotaReport {
        QuotaReport(books, seesUplink: !session.edges.uplinks.links.isEmpty)
    }

    /// Counts, and has the loop follow.
    private func look(_ books: inout Books) {
        let now = Moment.now
        do throws(KernelError) {
            books.count(Reading(try session.readMeters()), at: now)
            books.refusal = nil
        } catch {
            if books.refusal == nil { log.error("what is used of the cap cannot be read: \(error)") }
            books.refusal = error
        }
        let before = books.throttle
        books.follow(at: now)
        if before.passage != books.throttle.passage { session.set(Gate(books.throttle.passage)) }
        if before.stage != books.throttle.stage { tell(books.throttle.stage) }
        session.ring(after: books.distance)
        due.signal()
    }

    private func tell(_ stage: Stage?) {
        guard let stage else { return log.notice("no stage of the cap holds any more") }
        log.notice("a stage of the cap begins", metadata: ["stage": "\(stage)"])
    }

    /// What a person says: it holds at once, and is written.
    ///
    /// - Throws: that it is not on disk yet.
    func change(_ body: @Sendable (inout Ledger, CapSettings) -> Void) throws(Refusal) {
        guard !isStopping.load(ordering: .acquiring) else { throw .notYetCounting }
        try books.withLock { books throws(Refusal) in
            let reading = try refusing(couldNot: "read the counters") { () throws(KernelError) in
                Reading(try session.readMeters())
            }
            books.count(reading, at: .now)
            let settings = books.settings
            books.keeper.change(with: reading) { body(&$0, settings) }
        }
        due.signal()
        guard awaitDisk() else { throw Refusal(unwritten: "the disk does not answer", in: directory) }
        if let refusal = books.withLock({ $0.keeper.refusal }) { throw Refusal(unwritten: "\(refusal)", in: directory) }
    }

    /// Whether what is under way has ended within a second.
    func awaitDisk() -> Bool {
        for _ in 0..<200 {
            if books.withLock({ $0.keeper.isSettled }) { return true }
            usleep(5_000)
        }
        return false
    }

    // MARK: Writing

    /// Whatever is due. If more is, the next look says so: each write is to have a reading of its own.
    private func write() {
        if let write = books.withLock({ $0.keeper.begin(at: .now) }) {
            perform(write)
            session.ringNow()
        }
        pin()
        guard let (status, path) = books.withLock({ $0.beginStatus() }) else { return }
        var refusal: KernelError?
        do throws(KernelError) { try status.write(to: path, at: .now) } catch { refusal = error }
        books.withLock { $0.endStatus(status, refusal, log) }
    }

    private func close() {
        guard let reading = try? session.readMeters() else { return }
        guard let write = books.withLock({ $0.beginEnd(with: Reading(reading), at: .now) }) else { return }
        perform(write)
    }

    private func perform(_ write: consuming LedgerWrite) {
        let refusal = write.perform()
        var done: LedgerWrite? = write
        books.withLock { books in
            let before = books.keeper.refusal
            if let done = done.take() { books.keeper.end(done, refusal, at: .now) }
            session.ring(after: books.distance)
            if (before == nil) != (refusal == nil) || refusal != nil && !books.isUnwritten { tell(refusal) }
            books.isUnwritten = refusal != nil
        }
    }

    private func tell(_ refusal: KernelError?) {
        guard let refusal else { return log.notice("the ledger is written again") }
        log.error(
            "the ledger cannot be written: \(refusal); the count goes on in memory; next: \(Refusal.remedyUnwritten(directory))"
        )
    }

    /// A ledger is a bill of its own: one that was deleted under us is made anew, and is another.
    private func pin() {
        let bill = LedgerFile.number(in: directory)
        guard bill != books.withLock({ $0.bill }), let pins = Pins(ofLedgerIn: directory) else { return }
        let pinning = session.pinMeters(pins)
        books.withLock { books in
            books.bill = bill
            books.unpinned = if case .refused(let error) = pinning { error } else { nil }
        }
        guard case .refused(let error) = pinning else { return }
        log.warning("\(QuotaReport.unpinned(error))")
    }
}
