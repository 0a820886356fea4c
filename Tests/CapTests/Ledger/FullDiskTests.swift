import Glibc
import LinuxSystem
import SystemPackage
import Testing

@testable import Cap

/// Real disks of a few pages, mounted where the ledger's folder is.
@Suite(.enabled(if: SmallDisk.isPossible, "mounting needs root and CAP_SYS_ADMIN"))
struct FullDiskTests {
    @Test func `a full disk refuses a new ledger and holds one that is there`() throws {
        let disk = try SmallDisk()
        try disk.fill()
        let error = #expect(throws: LedgerRefusal.self) { _ = try disk.keeper(Reading()) }
        guard case .kernel(let refusal) = error else { return #expect(Bool(false)) }
        #expect(refusal.errno == .noSpace)

        try disk.empty()
        var keeper = try disk.keeper(Reading())
        try disk.fill()
        for second: UInt64 in 1...5 {
            keeper.record(Reading(sent: second << 20), in: always, under: nil, at: Moment(Int64(second) * 11))
        }
        #expect(keeper.findings.isEmpty)
        #expect(try LedgerFile.read(in: disk.path)?.entry?.account == keeper.ledger.account)
    }

    @Test func `on a disk that may only be read the count goes on, and is written when it may be`() throws {
        let disk = try SmallDisk()
        try disk.keeper(Reading()).close(with: Reading(sent: 100), in: always, under: nil, at: Moment(1))
        try disk.remount("ro")
        var keeper = try disk.keeper(Reading(sent: 150))
        keeper.record(Reading(sent: 200), in: always, under: nil, at: Moment(3))
        #expect(keeper.ledger.account.usage.counts == Reading(sent: 200).counts)
        guard case .cannotWrite(let error, _) = keeper.findings.first else { return #expect(Bool(false)) }
        #expect(error.errno == .readOnlyFileSystem)
        try disk.remount("rw")
        keeper.record(Reading(sent: 210), in: always, under: nil, at: Moment(5))
        #expect(keeper.findings.isEmpty)
        #expect(try LedgerFile.read(in: disk.path)?.entry?.account == keeper.ledger.account)
    }
}

/// A tmpfs of sixteen pages.
private final class SmallDisk {
    private let folder: ScratchFolder
    var path: String { folder.path }

    static let isPossible = (try? SmallDisk()) != nil

    init() throws {
        folder = try ScratchFolder()
        try Self.mount("-t", "tmpfs", "-o", "size=64k", "ledger", path)
    }

    deinit { _ = unsafe umount2(path, CInt(MNT_DETACH)) }

    /// A child that another test starts has all that is open here, for the moment before it is another program.
    func remount(_ access: String) throws {
        for _ in 0..<50 where (try? Self.mount("-o", "remount,\(access)", path)) != nil { return }
        try Self.mount("-o", "remount,\(access)", path)
    }

    /// With a file that takes what is left.
    func fill() throws {
        let child = try ChildProcess(["dd", "if=/dev/zero", "of=\(path)/filler", "bs=4096"])
        try #require(child.wait(upTo: .seconds(10)) == .exited(1))
    }

    func empty() throws {
        for name in ["filler", "ledger", "ledger.new"] { _ = unsafe unlink(path + "/" + name) }
    }

    func keeper(_ reading: Reading) throws(LedgerRefusal) -> Bookkeeper {
        try Bookkeeper(in: path, always, under: nil, from: reading, at: Moment(1))
    }

    private static func mount(_ arguments: String...) throws {
        let child = try ChildProcess(["mount"] + arguments)
        try #require(child.wait(upTo: .seconds(10)) == .exited(0), "\(child.standardError)")
    }
}
