import Glibc
import LinuxSystem
import SystemPackage
import Testing

@testable import Cap

struct LedgerFileTests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private static func entry(used: UInt64) -> LedgerEntry {
        LedgerEntry(
            account: Account(always, since: 0, from: Reading(sent: used)), reserve: 5, writtenAt: 7)
    }

    private func opened(_ interference: @escaping Interference.Source = { _, _ in .none }) throws -> LedgerFile {
        guard let file = try LedgerFile.open(in: folder.path, interference) else {
            throw KernelError("open", .noSuchFileOrDirectory, folder.path)
        }
        return file
    }

    /// What the file says is used.
    private func used() throws -> UInt64? {
        try LedgerFile.read(in: folder.path)?.entry?.account.usage.counts[.egress, .client]
    }

    /// Two slots, of which the first is the older: 10 and 20 octets used.
    private func twoEntries() throws {
        var file = try LedgerFile.create(in: folder.path, Self.entry(used: 1))
        try file.write(Self.entry(used: 10))
        try file.write(Self.entry(used: 20))
    }

    @Test func `a new ledger is two good slots, for its owner alone`() throws {
        let none = try LedgerFile.open(in: folder.path) == nil
        #expect(none)
        let file = try LedgerFile.create(in: folder.path, Self.entry(used: 1))
        #expect(file.content.badSlots == [])
        #expect(try LedgerFile.read(in: folder.path)?.badSlots == [])
        #expect(try used() == 1)
        var status = stat()
        #expect(unsafe stat(folder.path + "/ledger", &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o600)
        #expect(status.st_size == 8192)
        #expect(folder.octets("ledger.new") == nil)
    }

    @Test func `each write goes to the older slot and is the newest afterwards`() throws {
        var file = try LedgerFile.create(in: folder.path, Self.entry(used: 1))
        var changed: [Int] = []
        for number in UInt64(2)...7 {
            let before = try #require(folder.octets())
            try file.write(Self.entry(used: number))
            let after = try #require(folder.octets())
            changed += [0, 4096].filter { before[$0..<$0 + 4096] != after[$0..<$0 + 4096] }
            #expect(try used() == number)
        }
        #expect(changed == [0, 4096, 0, 4096, 0, 4096])
    }

    @Test func `a write torn anywhere leaves the entry before it`() throws {
        try twoEntries()
        let before = try #require(folder.octets())
        var file = try opened()
        try file.write(Self.entry(used: 30))
        let after = try #require(folder.octets())
        let differing = before.indices.filter { before[$0] != after[$0] }
        let end = try #require(differing.last)
        #expect(Set(differing.map { $0 / 4096 }) == [0])
        var wrong: [Int] = []
        for torn in 0...4096 {
            folder.put(Array(after[..<torn] + before[torn...]))
            if try used() != (torn > end ? 30 : 20) { wrong.append(torn) }
        }
        #expect(wrong == [])
    }

    @Test(arguments: [0, 1])
    func `of one bad slot it tells, uses the other, and writes the bad one next`(bad: Int) throws {
        try twoEntries()
        var octets = try #require(folder.octets())
        octets[bad * 4096 + 100] ^= 1
        folder.put(octets)
        var file = try opened()
        #expect(file.content.badSlots == [bad])
        #expect(try used() == (bad == 0 ? 20 : 10))
        try file.write(Self.entry(used: 30))
        #expect(try LedgerFile.read(in: folder.path)?.badSlots == [])
        #expect(try used() == 30)
    }

    @Test(arguments: [0, 1, 4096, 8191, 8192])
    func `a file without a good slot says so, however long it is`(length: Int) throws {
        folder.put([UInt8](repeating: 0, count: length))
        var file = try opened()
        #expect(file.content.badSlots == [0, 1])
        #expect(file.content.entry == nil)
        try file.write(Self.entry(used: 30))
        try file.write(Self.entry(used: 40))
        #expect(try LedgerFile.read(in: folder.path)?.badSlots == [])
        #expect(try used() == 40)
    }

    @Test(arguments: ["pwrite", "fdatasync"])
    func `after a refused write the next goes to the same slot`(call: String) throws {
        try twoEntries()
        let octets = try #require(folder.octets())
        let trouble = Trouble()
        var file = try opened { name, _ in trouble.isOn && "\(name)" == call ? .refuse(.ioError) : .none }
        trouble.isOn = true
        for number in UInt64(30)..<33 {
            let refused: KernelError?
            do throws(KernelError) {
                try file.write(Self.entry(used: number))
                refused = nil
            } catch { refused = error }
            #expect(refused?.errno == .ioError)
        }
        trouble.isOn = false
        try file.write(Self.entry(used: 40))
        #expect(folder.octets()?[4096...] == octets[4096...])
        #expect(try used() == 40)
    }

    @Test func `a write that the disk takes only a part of is an error`() throws {
        try twoEntries()
        let trouble = Trouble()
        var file = try opened { name, _ in trouble.isOn && "\(name)" == "pwrite" ? .shorten(to: 100) : .none }
        trouble.isOn = true
        let refused: KernelError?
        do throws(KernelError) {
            try file.write(Self.entry(used: 30))
            refused = nil
        } catch { refused = error }
        #expect(refused?.errno == .noSpace)
        #expect(try used() == 20)
    }

    @Test func `a second writer is refused, a reader is not`() throws {
        let file = try LedgerFile.create(in: folder.path, Self.entry(used: 9))
        let error = #expect(throws: LedgerRefusal.self) { _ = try LedgerFile.open(in: folder.path) == nil }
        guard case .kernel(let refusal) = error else { return #expect(Bool(false)) }
        #expect(refusal.errno == .wouldBlock)
        #expect(try used() == 9)
        _ = consume file
        let isFree = try LedgerFile.open(in: folder.path) != nil
        #expect(isFree)
    }

    @Test func `the ledger of a later version is refused and left alone`() throws {
        try twoEntries()
        var octets = try #require(folder.octets())
        octets.replaceSubrange(4096..., with: LedgerSlotTests.resealed { $0[12] = 2 })
        folder.put(octets)
        let error = #expect(throws: LedgerRefusal.self) { _ = try LedgerFile.open(in: folder.path) == nil }
        guard case .foreign(version: 2, _) = error else { return #expect(Bool(false)) }
        #expect(folder.octets() == octets)
    }

    @Test func `a folder that is not there is refused by name`() throws {
        let error = #expect(throws: KernelError.self) {
            _ = try LedgerFile.create(in: "/nonexistent", Self.entry(used: 1))
        }
        #expect(error?.errno == .noSuchFileOrDirectory)
        #expect(error?.subject == "/nonexistent/ledger.new")
    }
}

/// What a test switches on and off.
private final class Trouble { var isOn = false }
