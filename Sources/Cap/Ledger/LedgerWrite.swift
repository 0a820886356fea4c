package import LinuxSystem
internal import SystemPackage

/// An entry on its way to the disk. One thread at a time has it, and with it the disk.
package struct LedgerWrite: ~Copyable, @unchecked Sendable {
    /// There, but for a compiler that moves nothing out of what is not optional.
    var disk: LedgerDisk?
    let entry: LedgerEntry

    init(_ disk: consuming LedgerDisk?, _ entry: LedgerEntry) {
        self.disk = disk
        self.entry = entry
    }

    /// - Returns: why it is not on disk.
    package mutating func perform() -> KernelError? {
        do throws(KernelError) { try disk?.write(entry) } catch { return error }
        return nil
    }
}

/// Where a ledger is written, there already or not.
struct LedgerDisk: ~Copyable {
    private let directory: String
    private let interference: Interference.Source
    private var file: LedgerFile?

    init(_ file: consuming LedgerFile?, in directory: String, _ interference: @escaping Interference.Source) {
        self.file = file
        self.directory = directory
        self.interference = interference
    }

    /// Opens the file anew where it could not be opened before, or is there no more.
    mutating func write(_ entry: LedgerEntry) throws(KernelError) {
        if file?.isGone == true { file = nil }
        if file == nil {
            do throws(LedgerRefusal) { file = try LedgerFile.open(in: directory, interference) } catch {
                switch error {
                case .kernel(let refusal): throw refusal
                case .foreign(_, let path): throw KernelError("open", .notSupported, path)
                }
            }
        }
        guard file != nil else {
            file = try LedgerFile.create(in: directory, entry, interference)
            return
        }
        try file?.write(entry)
    }
}
