import LinuxSystem
import SystemPackage
import Testing

@testable import Cap

struct BookkeeperTests {
    private let folder: ScratchFolder
    private let trouble = Refusals()

    init() throws { folder = try ScratchFolder() }

    private func keeper(_ reading: Reading, at now: Moment) throws(LedgerRefusal) -> Bookkeeper {
        try Bookkeeper(in: folder.path, always, under: nil, from: reading, at: now) { [trouble] call, _ in
            trouble.refuses("\(call)") ? .refuse(.readOnlyFileSystem) : .none
        }
    }

    /// What a start that finds these octets and nothing else would count.
    private func used(_ reading: Reading) throws -> Usage { try keeper(reading, at: Moment(1000)).ledger.account.usage }

    @Test func `what is counted is there at the next start`() throws {
        var first: Bookkeeper? = try keeper(Reading(), at: Moment(0))
        first?.record(Reading(sent: 100), in: always, under: nil, at: Moment(10))
        first = nil
        #expect(try LedgerFile.read(in: folder.path)?.entry?.account.usage.counts == Reading(sent: 100).counts)
        #expect(try used(Reading(sent: 120)) == Usage(counts: Reading(sent: 120).counts))
    }

    @Test func `after a clean stop nothing is charged, whatever became of the counters`() throws {
        let first = try keeper(Reading(), at: Moment(0))
        try first.close(with: Reading(sent: 100), in: always, under: nil, at: Moment(1))
        #expect(try used(Reading(map: 2, sent: 5)) == Usage(counts: Reading(sent: 105).counts))
    }

    @Test func `a disk that takes nothing is told of, and all is written once it does`() throws {
        var keeper = try keeper(Reading(), at: Moment(0))
        trouble.calls = ["pwrite"]
        for second: UInt64 in 1...30 {
            keeper.record(Reading(sent: second << 20), in: always, under: nil, at: Moment(Int64(second)))
        }
        #expect(keeper.ledger.account.usage.counts == Reading(sent: 30 << 20).counts)
        guard case .cannotWrite(let error, uncovered: let octets) = keeper.findings.first else {
            return #expect(Bool(false))
        }
        #expect(error.errno == .readOnlyFileSystem)
        #expect(octets == 29 << 20)
        trouble.calls = []
        keeper.record(Reading(sent: 30 << 20), in: always, under: nil, at: Moment(32))
        #expect(keeper.findings.isEmpty)
        #expect(try LedgerFile.read(in: folder.path)?.entry?.account == keeper.ledger.account)
    }

    @Test func `a disk that refuses is asked once a second`() throws {
        var keeper = try keeper(Reading(), at: Moment(0))
        trouble.calls = ["pwrite"]
        let before = trouble.count
        for tenth: UInt64 in 1...100 {
            keeper.record(
                Reading(sent: tenth << 20), in: always, under: nil,
                at: Moment(wall: later(0), steady: tenth * 100_000_000))
        }
        #expect((9...10).contains(trouble.count - before))
    }

    @Test func `a ledger that cannot be opened for writing is read, and written once it can be`() throws {
        try keeper(Reading(), at: Moment(0)).close(with: Reading(sent: 100), in: always, under: nil, at: Moment(0))
        trouble.calls = ["pwrite"]
        var keeper = try keeper(Reading(sent: 150), at: Moment(0))
        #expect(keeper.ledger.account.usage.counts == Reading(sent: 150).counts)
        #expect(keeper.findings.count == 1)
        #expect(keeper.ledger.headroom == 0)
        trouble.calls = []
        keeper.record(Reading(sent: 170), in: always, under: nil, at: Moment(2))
        #expect(keeper.findings.isEmpty)
        #expect(try LedgerFile.read(in: folder.path)?.entry?.account.usage.counts == Reading(sent: 170).counts)
    }

    @Test func `where neither slot is good the count begins with what the kernel knows and the reserve spent`() throws {
        folder.put([UInt8](repeating: 0xff, count: 8192))
        let keeper = try keeper(Reading(sent: 100), at: Moment(0))
        guard case .bothSlotsBad = keeper.findings.first else { return #expect(Bool(false)) }
        #expect(keeper.ledger.account.usage.billed(by: Metering()) == 100 + Ledger.leastReserve)
        #expect(try LedgerFile.read(in: folder.path)?.entry?.account == keeper.ledger.account)
    }

    @Test func `one bad slot is told of`() throws {
        try keeper(Reading(), at: Moment(0)).close(with: Reading(sent: 100), in: always, under: nil, at: Moment(0))
        var octets = try #require(folder.octets())
        octets[4096 + 9] ^= 1
        folder.put(octets)
        let keeper = try keeper(Reading(sent: 100), at: Moment(0))
        guard case .slotBad(1) = keeper.findings.first else { return #expect(Bool(false)) }
        #expect(keeper.ledger.account.usage.billed(by: Metering()) == 100)
    }

    @Test func `a clock before the period in force is told of, and one that leapt past its end`() throws {
        var keeper = try Bookkeeper(in: folder.path, month(1), under: nil, from: Reading(), at: Moment(1500))
        keeper.record(Reading(sent: 1), in: month(0), under: nil, at: Moment(900))
        guard case .clockDoubtful(.behind) = keeper.findings.first else { return #expect(Bool(false)) }
        keeper.record(Reading(sent: 1), in: month(2), under: nil, at: Moment(1500, ahead: 900))
        guard case .clockDoubtful(.ahead) = keeper.findings.first else { return #expect(Bool(false)) }
        #expect(keeper.ledger.account.period == month(1))
    }

    @Test func `a person's word that is not on disk is told of, and holds all the same`() throws {
        var keeper = try keeper(Reading(), at: Moment(0))
        trouble.calls = ["fdatasync"]
        keeper.change(with: Reading()) { $0.grant(50) }
        #expect(keeper.isSettled == false)
        keeper.writeIfDue(at: Moment(0))
        #expect(keeper.isSettled && keeper.refusal?.errno == .readOnlyFileSystem)
        #expect(keeper.ledger.account.granted == 50)
        trouble.calls = []
        // A person is not asked to wait for the second that a disk is given.
        keeper.change(with: Reading()) { $0.liftCap() }
        keeper.writeIfDue(at: Moment(0))
        #expect(keeper.isSettled && keeper.refusal == nil)
        keeper.change(with: Reading()) { $0.reset(to: always, at: Moment(0)) }
        keeper.writeIfDue(at: Moment(0))
        let entry = try LedgerFile.read(in: folder.path)?.entry
        #expect(entry?.account.granted == 50)
        #expect(entry?.account.isUncapped == true)
    }

    @Test func `while a write is under way counting goes on, and what it does not cover waits for the next`() throws {
        var keeper = try keeper(Reading(), at: Moment(0))
        keeper.count(Reading(sent: 1 << 20), in: always, under: nil, at: Moment(1))
        var write = keeper.begin(at: Moment(1))
        let isAlone = keeper.begin(at: Moment(1)) == nil
        #expect(isAlone, "one at a time")
        #expect(keeper.credit == nil, "nobody looks sooner for a disk that is asked already")
        keeper.count(Reading(sent: 3 << 20), in: always, under: nil, at: Moment(1))
        keeper.change(with: Reading(sent: 3 << 20)) { $0.grant(50) }
        #expect(keeper.ledger.account.usage.billed(by: Metering()) == 3 << 20)
        let refusal = write?.perform() as KernelError?
        #expect(refusal == nil)
        if let write = write.take() { keeper.end(write, nil, at: Moment(1)) }
        #expect(keeper.isSettled == false, "that word was none of this write's")
        #expect(try LedgerFile.read(in: folder.path)?.entry?.account.usage.billed(by: Metering()) == 1 << 20)
        #expect(keeper.ledger.headroom == 0, "two were allowed, and have passed")
        let isAsIs = keeper.begin(at: Moment(1)) == nil
        #expect(isAsIs, "each write has a reading of its own")
        keeper.count(Reading(sent: 3 << 20), in: always, under: nil, at: Moment(1))
        keeper.writeIfDue(at: Moment(1))
        #expect(keeper.isSettled == true)
        let entry = try LedgerFile.read(in: folder.path)?.entry
        #expect(entry?.account.usage.billed(by: Metering()) == 3 << 20 && entry?.account.granted == 50)
    }

    @Test func `a ledger that another process writes is refused`() throws {
        let first = try keeper(Reading(), at: Moment(0))
        let error = #expect(throws: LedgerRefusal.self) { _ = try keeper(Reading(), at: Moment(0)) }
        guard case .kernel(let refusal) = error else { return #expect(Bool(false)) }
        #expect(refusal.errno == .wouldBlock)
        _ = consume first
    }
}

/// The calls that are refused.
private final class Refusals {
    var calls: Set<String> = []
    /// How often some was.
    private(set) var count = 0

    func refuses(_ call: String) -> Bool {
        guard calls.contains(call) else { return false }
        count += 1
        return true
    }
}
