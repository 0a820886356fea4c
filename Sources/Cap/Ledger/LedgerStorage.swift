internal import Glibc
internal import LinuxSystem
package import SystemPackage

/// What a test makes of a system call before it is made. In a node: nothing, ever.
package enum Interference: Sendable {
    case none
    case refuse(Errno)
    /// A write of no more than so many octets.
    case shorten(to: Int)

    /// Asked with the call's name and the offset in the file, 0 where it has none.
    package typealias Source = (StaticString, Int) -> Interference
}

/// A file of the ledger, and every system call that is made for it.
struct LedgerStorage: ~Copyable {
    private(set) var path: String
    private let descriptor: OwnedDescriptor
    private let interference: Interference.Source

    enum Access { case read, write, create }

    /// - Throws: ENOENT where there is none and none shall be created.
    init(_ path: String, for access: Access, _ interference: @escaping Interference.Source) throws(KernelError) {
        self.path = path
        self.interference = interference
        let flags =
            switch access {
            case .read: O_RDONLY | O_NONBLOCK
            case .write: O_RDWR | O_NOFOLLOW | O_NONBLOCK
            case .create: O_RDWR | O_NOFOLLOW | O_CREAT
            }
        descriptor = OwnedDescriptor(
            try Self.ask("open", 0, path, interference) { _ in unsafe open(path, flags | O_CLOEXEC, 0o600)
            })
    }

    /// Of the inode and its file system.
    static func number(of path: String) -> UInt64? {
        var facts = stat()
        return unsafe stat(path, &facts) == 0 ? number(facts) : nil
    }

    private static func number(_ facts: stat) -> UInt64 {
        UInt64(facts.st_dev) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(facts.st_ino)
    }

    /// No directory, and nothing that would be waited for.
    var isRegular: Bool {
        var facts = stat()
        return unsafe fstat(descriptor.raw, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
    }

    /// Whether the file has lost its name, to another or to none: what is written into it, nobody will find.
    var isGone: Bool {
        var facts = stat()
        return unsafe fstat(descriptor.raw, &facts) == 0 && Self.number(of: path) != Self.number(facts)
    }

    /// Takes its name away.
    func remove() { _ = unsafe unlink(path) }

    /// Until this owner goes, or its process; waits a second for one that is about to. A child has what its parent has open,
    /// for the moment before it is another program.
    ///
    /// - Throws: EWOULDBLOCK where another has it.
    func lock() throws(KernelError) {
        try ask("flock") { _ in
            for _ in 0..<100 where flock(descriptor.raw, LOCK_EX | LOCK_NB) != 0 {
                guard errno == EWOULDBLOCK else { return -1 }
                usleep(10_000)
            }
            return flock(descriptor.raw, LOCK_EX | LOCK_NB)
        }
    }

    /// Fewer octets where the file is shorter.
    func read(_ count: Int, at offset: Int) throws(KernelError) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: count)
        let got = try ask("pread", offset) { limit in
            unsafe octets.withUnsafeMutableBytes {
                CInt(unsafe pread(descriptor.raw, $0.baseAddress, min($0.count, limit), offset))
            }
        }
        return Array(octets[..<Int(got)])
    }

    /// All or an error; after an error any part may have been written.
    func write(_ octets: [UInt8], at offset: Int) throws(KernelError) {
        let written = try ask("pwrite", offset) { limit in
            unsafe octets.withUnsafeBytes {
                CInt(unsafe pwrite(descriptor.raw, $0.baseAddress, min($0.count, limit), offset))
            }
        }
        guard written == octets.count else { throw KernelError("pwrite", .noSpace, path) }
    }

    mutating func rename(to path: String) throws(KernelError) {
        let former = self.path
        try ask("rename") { _ in unsafe Glibc.rename(former, path) }
        self.path = path
    }

    func synchronize() throws(KernelError) { try ask("fdatasync") { _ in fdatasync(descriptor.raw) } }

    /// The names in a directory. Where the file system knows no such thing (EINVAL) there is nothing to be done.
    static func synchronize(
        directory path: String, _ interference: @escaping Interference.Source
    ) throws(KernelError) {
        let directory = try LedgerStorage(path, for: .read, interference)
        do throws(KernelError) { try directory.ask("fsync") { _ in fsync(directory.descriptor.raw) } } catch {
            guard error.errno == .invalidArgument else { throw error }
        }
    }

    @discardableResult
    private func ask(_ call: StaticString, _ offset: Int = 0, _ body: (Int) -> CInt) throws(KernelError) -> CInt {
        try Self.ask(call, offset, path, interference, body)
    }

    /// The one door.
    private static func ask(
        _ call: StaticString, _ offset: Int, _ path: String, _ interference: Interference.Source, _ body: (Int) -> CInt
    ) throws(KernelError) -> CInt {
        var limit = Int.max
        switch interference(call, offset) {
        case .none: break
        case .refuse(let errno): throw KernelError(call, errno, path)
        case .shorten(let most): limit = most
        }
        while true {
            let answer = body(limit)
            if answer >= 0 { return answer }
            guard errno == EINTR else { throw KernelError(call, Errno(rawValue: errno), path) }
        }
    }
}
