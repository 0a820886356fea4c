package import LinuxSystem
internal import SystemPackage

/// Why there is no ledger to be had.
package enum LedgerRefusal: Error {
    case kernel(KernelError)
    /// A later forwarder wrote it. Whoever does not understand it does not overwrite it.
    case foreign(version: UInt32, path: String)
}

/// What a ledger file holds.
package struct LedgerContent: Sendable {
    /// Nil when neither slot is good.
    package let entry: LedgerEntry?
    /// Of 0 and 1.
    package let badSlots: [Int]
    /// The slot of the entry.
    fileprivate let newest: Int?
}

/// The ledger on disk: two slots in one file, written in turn.
///
/// At every moment one slot is on disk, whole. A file has its name only once both slots are, so one that holds neither
/// was damaged. One process at a time may write; reading needs no permission of the writer.
package struct LedgerFile: ~Copyable {
    package static let size = 2 * UInt64(LedgerSlot.size)

    /// As found at opening.
    package let content: LedgerContent
    private let storage: LedgerStorage
    /// The slot that surely is good and on disk, hence is not to be written.
    private var newest: Int?
    private var sequence: UInt64

    /// Nil when there is none.
    ///
    /// - Throws: EWOULDBLOCK when another process writes it.
    package static func open(
        in directory: String, _ interference: @escaping Interference.Source = { _, _ in .none }
    ) throws(LedgerRefusal) -> LedgerFile? {
        guard let file = try storage(in: directory, for: .write, interference) else { return nil }
        do throws(KernelError) { try file.lock() } catch { throw .kernel(error) }
        let content = try content(of: file)
        do throws(KernelError) {
            try vouch(for: content, in: file)
            try LedgerStorage.synchronize(directory: directory, interference)
        } catch { throw .kernel(error) }
        return LedgerFile(file, content)
    }

    /// What was read may have been written by a process that died before it was on disk, or that was told that it could not
    /// be: then the kernel takes it for clean (fsync(2), EIO). Until it is there, the other slot may be the only one.
    private static func vouch(
        for content: LedgerContent, in file: borrowing LedgerStorage
    ) throws(KernelError) {
        guard let entry = content.entry, let newest = content.newest else { return }
        try file.write(LedgerSlot.octets(of: entry), at: newest * LedgerSlot.size)
        try file.synchronize()
    }

    package static func create(
        in directory: String, _ entry: LedgerEntry, _ interference: @escaping Interference.Source = { _, _ in .none }
    ) throws(KernelError) -> LedgerFile {
        var (first, second) = (entry, entry)
        (first.sequence, second.sequence) = (1, 2)
        var file = try LedgerStorage(name(in: directory) + ".new", for: .create, interference)
        try file.lock()
        do throws(KernelError) {
            try file.write(LedgerSlot.octets(of: first), at: 0)
            try file.write(LedgerSlot.octets(of: second), at: LedgerSlot.size)
            try file.synchronize()
            try file.rename(to: name(in: directory))
        } catch {
            file.remove()
            throw error
        }
        try LedgerStorage.synchronize(directory: directory, interference)
        return LedgerFile(file, LedgerContent(entry: second, badSlots: [], newest: 1))
    }

    /// Sees that no other process writes the ledger, if there is one.
    ///
    /// - Throws: EWOULDBLOCK where one does.
    package static func expectNobody(in directory: String) throws(LedgerRefusal) {
        guard let file = try storage(in: directory, for: .read, { _, _ in .none }) else { return }
        do throws(KernelError) { try file.lock() } catch { throw .kernel(error) }
    }

    /// For who only wants to know; nil when there is none. While another process writes, the slot in work may look bad.
    package static func read(
        in directory: String, _ interference: @escaping Interference.Source = { _, _ in .none }
    ) throws(LedgerRefusal) -> LedgerContent? {
        guard let file = try storage(in: directory, for: .read, interference) else { return nil }
        return try content(of: file)
    }

    private static func storage(
        in directory: String, for access: LedgerStorage.Access, _ interference: @escaping Interference.Source
    ) throws(LedgerRefusal) -> LedgerStorage? {
        do throws(KernelError) {
            let storage = try LedgerStorage(name(in: directory), for: access, interference)
            guard storage.isRegular else { throw KernelError("open", .notSupported, name(in: directory)) }
            return storage
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw .kernel(error)
        }
    }

    private init(_ storage: consuming LedgerStorage, _ content: LedgerContent) {
        self.storage = storage
        self.content = content
        newest = content.newest
        sequence = content.entry?.sequence ?? 0
    }

    /// Whether somebody has deleted or replaced it.
    package var isGone: Bool { storage.isGone }

    /// Into the slot that is not the newest good one. After an error the next write goes to the same slot.
    package mutating func write(_ entry: LedgerEntry) throws(KernelError) {
        var entry = entry
        entry.sequence = sequence &+ 1
        let slot = newest == 0 ? 1 : 0
        try storage.write(LedgerSlot.octets(of: entry), at: slot * LedgerSlot.size)
        try storage.synchronize()
        newest = slot
        sequence = entry.sequence
    }

    /// Changes the account of a node that does not run; nil when there is no ledger, or neither slot is good.
    ///
    /// - Throws: EWOULDBLOCK when a node does run.
    package static func amend(
        in directory: String, _ interference: @escaping Interference.Source = { _, _ in .none },
        _ change: (inout Account) -> Void
    ) throws(LedgerRefusal) -> LedgerEntry? {
        guard var file = try open(in: directory, interference), var entry = file.content.entry else { return nil }
        change(&entry.account)
        do throws(KernelError) { try file.write(entry) } catch { throw .kernel(error) }
        return entry
    }

    /// By which this ledger is told from every other on this machine, as long as its file is there; nil when there is none. It is
    /// written in place and never replaced.
    package static func number(in directory: String) -> UInt64? { LedgerStorage.number(of: name(in: directory)) }

    private static func name(in directory: String) -> String { directory + "/ledger" }

    private static func content(of file: borrowing LedgerStorage) throws(LedgerRefusal) -> LedgerContent {
        var newest: (slot: Int, entry: LedgerEntry)?
        var bad: [Int] = []
        for slot in 0...1 {
            let octets: [UInt8]
            do throws(KernelError) { octets = try file.read(LedgerSlot.size, at: slot * LedgerSlot.size) } catch {
                throw .kernel(error)
            }
            switch LedgerSlot.content(of: octets) {
            case .entry(let entry): if entry.sequence >= newest?.entry.sequence ?? 0 { newest = (slot, entry) }
            case .bad: bad.append(slot)
            case .foreign(let version): throw .foreign(version: version, path: file.path)
            }
        }
        return LedgerContent(entry: newest?.entry, badSlots: bad, newest: newest?.slot)
    }
}
