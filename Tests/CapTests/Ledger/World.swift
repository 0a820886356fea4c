import Glibc
import LinuxSystem
import SystemPackage
import TestSupport

@testable import Cap

/// A machine with a ledger: traffic, a kernel that counts it, a disk that may refuse or lose what is written, a process
/// that may be killed. The oracle is `truth`: all that ever passed.
///
/// The disk is modelled by what is surely on it (`durable`) beside what the kernel would answer to a read (the real file).
final class World {
    let folder: ScratchFolder
    var random: RandomNumbers
    /// What its clocks show.
    private(set) var moment = Moment(500)
    /// Counted by the kernel.
    private(set) var reading: Reading
    private(set) var truth = MeterCounts()
    var keeper: Bookkeeper?
    /// What may pass without breaking the headroom's promise. Outlives the process: so does the kernel's fast path.
    private(set) var allowance: UInt64 = 0

    /// Called for each system call that the process lives to make; answers a fault, if any.
    var fault: (StaticString) -> Interference = { _ in .none }
    /// The process dies before its n-th system call.
    var deathAt = Int.max
    private(set) var calls = 0
    private var isDead = false
    /// The truth when the process last read the counters.
    private var seen = MeterCounts()

    private var durable = [[UInt8]](repeating: [], count: 2)
    private var isDirty = [false, false]
    private var isNameDurable = false

    /// What went wrong, in words.
    private(set) var wrong: [String] = []
    /// What was counted of the truth when the counters were last found to continue.
    private var hidden: [UInt64] = [0, 0]
    private(set) var powerCuts = 0
    /// While a write was under way.
    private(set) var counts = 0

    init(seed: UInt64) throws(KernelError) {
        folder = try ScratchFolder()
        random = RandomNumbers(seed: seed)
        reading = Reading()
    }

    /// Periods of a thousand seconds.
    var period: Range<Int64> { (moment.wall / 1000) * 1000..<(moment.wall / 1000 + 1) * 1000 }

    // MARK: - Time

    /// Seconds by which the wall clock is ahead; the steady one is right.
    private var error: Int64 = 0
    /// The error that the process takes for none, and the latest time that any has taken for true.
    private var trusted: Int64 = 0
    private var latestTrusted: Int64 = 0
    /// When the process first saw the error as it is.
    private var seenSince: (error: Int64, steady: UInt64) = (0, 0)
    private(set) var doubts = 0

    func elapse(_ nanoseconds: UInt64) {
        let before = moment.steady
        moment.steady += nanoseconds
        moment.wall += Int64(moment.steady / 1_000_000_000 - before / 1_000_000_000)
    }

    func setClock(ahead seconds: Int64) {
        moment.wall += seconds - error
        error = seconds
    }

    func loseClock() { setClock(ahead: error - moment.wall) }

    /// The process sees the clocks.
    private func look(isFirst: Bool = false) {
        if isFirst || abs(seenSince.error - error) > 60 { seenSince = (error, moment.steady) }
        let hasStood = moment.steady - seenSince.steady >= 3_600_000_000_000
        let truth = moment.wall - error
        let wasUnset = truth + trusted < Account.earliest
        if isFirst || wasUnset || hasStood || error <= trusted + 60 { trusted = error }
        latestTrusted = max(latestTrusted, truth + trusted)
    }

    private func judgePeriod() {
        guard let ledger = keeper?.ledger else { return }
        let (period, isTrusted) = (ledger.account.period, error == trusted)
        let isEnded = period.upperBound <= moment.wall
        if isEnded, isTrusted { complain("\(period) goes on at \(moment.wall)") }
        if isEnded != (ledger.clockDoubt == .ahead) {
            complain("\(period) at \(moment.wall): not told, or for nothing")
        }
        if period.lowerBound > latestTrusted {
            complain("\(period) has begun, and it was never more than \(latestTrusted)")
        }
        if isEnded { doubts += 1 }
    }

    // MARK: - Traffic

    /// Up to so many octets at each point, both ways together; never so many that a schedule could not hold their sum.
    func pass(upTo limit: UInt64) {
        let most = min(limit, 1 << 27)
        var came = MeterCounts()
        for point in MeteringPoint.allCases {
            var left = UInt64.random(in: 0...most, using: &random)
            for _ in 0..<3 {
                let part = UInt64.random(in: 0...left, using: &random)
                let direction = MeterCounts.Direction.allCases.randomElement(using: &random) ?? .egress
                let cause = MeterCounts.Class.allCases.randomElement(using: &random) ?? .client
                if point == .uplink { came[direction, cause] += part } else { came[tunnel: direction] += part }
                left -= part
            }
        }
        truth.add(came)
        reading.counts.add(came)
        allowance = allowance.taking(max(came.total(at: .uplink), came.total(at: .tunnel)))
    }

    // MARK: - The process

    var isRunning: Bool { keeper != nil }

    func start() {
        guard keeper == nil else { return }
        isDead = false
        let before = try? LedgerFile.read(in: folder.path)
        // A child that another test starts this moment has the lock, too, until its exec.
        var patience = 1000
        while !open(), patience > 0 {
            patience -= 1
            usleep(1000)
        }
        afterCalls()
        tell()
        guard keeper != nil else { return }
        judge(since: before)
    }

    /// False where another process has the ledger.
    private func open() -> Bool {
        seen = truth
        look(isFirst: true)
        do throws(LedgerRefusal) {
            keeper = try Bookkeeper(
                in: folder.path, period, under: 1 << 40, from: reading, at: moment
            ) { [unowned self] in answer($0, $1) }
        } catch {
            if case .kernel(let refusal) = error { return refusal.errno != .wouldBlock }
        }
        return true
    }

    func record() {
        seen = truth
        look()
        keeper?.count(reading, in: period, under: 1 << 40, at: moment)
        tell()
        write()
        afterCalls()
        guard keeper != nil else { return }
        judgeTotals()
        judgePeriod()
    }

    /// Answers whether the ledger says that it is on disk.
    func grant(_ octets: UInt64) -> Bool {
        seen = truth
        keeper?.change(with: reading) { $0.grant(octets) }
        tell()
        write()
        let isWritten = keeper?.isSettled == true && keeper?.refusal == nil
        afterCalls()
        return isWritten
    }

    /// One thread waits for the disk, another may count meanwhile. Each write has a reading of its own.
    private func write() {
        guard var write = keeper?.begin(at: moment) else { return }
        let refusal = write.perform()
        keeper?.end(write, refusal, at: moment)
        guard refusal == nil else { return }
        // By what was told before, and unread when the next write is begun but for the look before it.
        pass(upTo: allowance)
        tell()
        if Bool.random(using: &random) { countMeanwhile() }
        self.write()
    }

    /// Whoever lets traffic pass hears the headroom after each record and each write that has come to its end, and of nothing else.
    private func tell() {
        if let headroom = keeper?.ledger.headroom { allowance = headroom }
    }

    private func countMeanwhile() {
        guard keeper != nil else { return }
        seen = truth
        look()
        keeper?.count(reading, in: period, under: 1 << 40, at: moment)
        tell()
        counts += 1
    }

    /// A person's word while no process runs. Answers whether the ledger says that it is on disk.
    func amend(_ octets: UInt64) -> Bool {
        guard keeper == nil else { return false }
        isDead = false
        func change(_ account: inout Account) {
            account.enter(period, under: 1 << 40, at: moment.wall)
            account.grant(octets)
        }
        let entry = try? LedgerFile.amend(in: folder.path, { [unowned self] in answer($0, $1) }, change)
        isDead = false
        return entry != nil
    }

    /// A clean stop: nothing passes from here on.
    func close() {
        guard let keeper = keeper.take() else { return }
        allowance = 0
        look()
        try? keeper.close(with: reading, in: period, under: 1 << 40, at: moment)
        isDead = false
    }

    func kill() { keeper = nil }

    private func afterCalls() {
        if isDead { keeper = nil }
        isDead = false
    }

    // MARK: - The disk

    private func answer(_ call: StaticString, _ offset: Int) -> Interference {
        calls += 1
        if calls >= deathAt {
            isDead = true
            deathAt = .max
        }
        if isDead { return .refuse(.ioError) }
        // Traffic does not wait for the disk.
        if Bool.random(using: &random) { pass(upTo: allowance) }
        if Bool.random(using: &random) { countMeanwhile() }
        let fault = fault(call)
        var isRefused = false
        if case .refuse = fault { isRefused = true }
        switch "\(call)" {
        case "pwrite" where !isRefused: isDirty[offset / LedgerSlot.size] = true
        case "fdatasync":
            // After a refusal some of it may be there, and the kernel takes all of it for written.
            for slot in 0...1 where isDirty[slot] {
                durable[slot] = isRefused ? torn(durable[slot], cached(slot)) : cached(slot)
            }
            isDirty = [false, false]
        case "fsync" where !isRefused: isNameDurable = true
        default: break
        }
        return fault
    }

    private func cached(_ slot: Int) -> [UInt8] {
        let octets = folder.octets() ?? folder.octets("ledger.new") ?? []
        return Array(octets.dropFirst(slot * LedgerSlot.size).prefix(LedgerSlot.size))
    }

    /// A write that was under way: nothing of it, all, as far as it came, or some of its sectors.
    private func torn(_ old: [UInt8], _ new: [UInt8]) -> [UInt8] {
        var octets = old + [UInt8](repeating: 0, count: LedgerSlot.size - old.count)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: break
        case 1: octets.replaceSubrange(0..<new.count, with: new)
        case 2:
            let end = Int.random(in: 0...new.count, using: &random)
            octets.replaceSubrange(0..<end, with: new[..<end])
        default:
            for sector in stride(from: 0, to: new.count, by: 512) where Bool.random(using: &random) {
                let end = min(sector + 512, new.count)
                octets.replaceSubrange(sector..<end, with: new[sector..<end])
            }
        }
        return octets
    }

    /// The process, the counters and what was not yet on disk are gone; new counters begin at nothing.
    func cutPower() {
        kill()
        let exists = folder.octets() != nil && (isNameDurable || Bool.random(using: &random))
        let slots = (0...1).map { isDirty[$0] ? torn(durable[$0], cached($0)) : durable[$0] }
        for name in ["ledger", "ledger.new"] { folder.remove(name) }
        if exists { folder.put(slots[0] + slots[1]) }
        durable = exists ? slots : [[], []]
        isDirty = [false, false]
        isNameDurable = exists
        reading = Reading(
            epoch: Epoch(bootID: UInt128(random.next()), map: reading.epoch.map), counts: MeterCounts())
        allowance = 0
        powerCuts += 1
    }

    // MARK: - The oracle

    /// All that the ledger ever counted, also in past periods.
    var counted: Usage {
        guard let account = keeper?.ledger.account else { return Usage() }
        var sum = account.usage
        for past in account.history {
            sum.counts.add(past.usage.counts)
            sum.charged = sum.charged.adding(past.usage.charged)
        }
        return sum
    }

    func complain(_ text: String) { wrong.append(text) }

    private func judge(since before: LedgerContent?) {
        judgeTotals()
        judgePeriod()
        guard let account = keeper?.ledger.account else { return }
        let missing = MeteringPoint.allCases.map { seen.total(at: $0).taking(counted.counts.total(at: $0)) }
        defer { hidden = missing }
        guard let before else { return }
        guard let entry = before.entry else { return complain("no slot was good") }
        let wasCharged = entry.account.history.reduce(entry.account.usage.charged) { $0 + $1.usage.charged }
        let charge = counted.charged.taking(wasCharged)
        if entry.account.reading.epoch == account.reading.epoch {
            if missing != hidden { complain("hidden \(missing), was \(hidden), by a kill alone") }
            if charge > 0 { complain("charged \(charge) for a kill") }
        } else if charge > entry.reserve {
            complain("charged \(charge) of a reserve of \(entry.reserve)")
        }
    }

    private func judgeTotals() {
        let passed = Usage(counts: seen)
        for point in MeteringPoint.allCases {
            for direction in MeterCounts.Direction.allCases
            where counted.counts.total(direction, at: point) > seen.total(direction, at: point) {
                complain("\(point) \(direction) counted more than passed")
            }
            for rule in BilledDirection.allCases {
                let metering = Metering(at: point, rule)
                let (least, billed) = (passed.billed(by: metering), counted.billed(by: metering))
                if billed < least { complain("\(point) \(rule): \(least - billed) less than the truth") }
                if billed > least.adding(counted.charged) { complain("\(point) \(rule): more than was charged") }
            }
        }
    }
}
