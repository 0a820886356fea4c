internal import Glibc
internal import SystemPackage

/// A small file that is read and written in place: its inode stays, as a bind mount demands.
package struct TextFile: Sendable {
    package let path: String
    /// Longer ones were named by mistake.
    private static let limit = 1 << 16

    package init(_ path: String) { self.path = path }

    /// Nil where there is none.
    package func read() throws(KernelError) -> [UInt8]? { try contents()?.octets }

    /// What it holds, and what its mode says (inode(7)); of one and the same file, whatever is put into its place meanwhile.
    package struct Contents {
        package let octets: [UInt8]
        /// Whether anybody but its owner may read or write it.
        package let isOpenToOthers: Bool
        /// The number of the user to whom it belongs.
        package let owner: UInt32
        /// Neither a device nor a pipe, for example.
        package let isPlain: Bool
    }

    /// Nil where there is none.
    package func contents() throws(KernelError) -> Contents? {
        let number = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard number >= 0 else {
            if errno == ENOENT { return nil }
            throw KernelError("open", Errno(rawValue: errno), path)
        }
        let file = OwnedDescriptor(number)
        var status = stat()
        guard unsafe fstat(file.raw, &status) == 0 else { throw KernelError("fstat", Errno(rawValue: errno), path) }
        var octets: [UInt8] = []
        while octets.count <= Self.limit {
            var count = 0
            octets += unsafe [UInt8](unsafeUninitializedCapacity: Self.limit) { space, filled in
                count = unsafe Glibc.read(file.raw, space.baseAddress, Self.limit)
                filled = max(count, 0)
            }
            guard count >= 0 else { throw KernelError("read", Errno(rawValue: errno), path) }
            guard count == 0 else { continue }
            return Contents(
                octets: octets, isOpenToOthers: status.st_mode & 0o077 != 0, owner: status.st_uid,
                isPlain: status.st_mode & S_IFMT == S_IFREG
            )
        }
        throw KernelError("read", .fileTooLarge, path)
    }

    /// In one write from the beginning, then cut to length: a reader meanwhile finds no empty file. Where not all of it can be
    /// written, on a full disk for example, what was there is put back.
    package func write(_ octets: [UInt8]) throws(KernelError) {
        let former = try read() ?? []
        do throws(KernelError) { try overwrite(with: octets) } catch {
            try? overwrite(with: former)
            throw error
        }
    }

    private func overwrite(with octets: [UInt8]) throws(KernelError) {
        let number = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o644)
        guard number >= 0 else { throw KernelError("open", Errno(rawValue: errno), path) }
        let file = OwnedDescriptor(number)
        let count = unsafe octets.withUnsafeBytes { unsafe pwrite(file.raw, $0.baseAddress, $0.count, 0) }
        guard count == octets.count else {
            throw KernelError("write", count < 0 ? Errno(rawValue: errno) : .noSpace, path)
        }
        guard ftruncate(file.raw, off_t(octets.count)) == 0 else {
            throw KernelError("ftruncate", Errno(rawValue: errno), path)
        }
    }

    /// Whether this process could write it. Changes nothing.
    package var isWritable: Bool {
        let number = unsafe open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
        if number < 0 { return errno == ENOENT }
        _ = Glibc.close(number)
        return true
    }
}

/// Readable when a file was written, replaced, or given other rights, by whomever (inotify(7)).
package struct FileWatch: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor
    private let path: String

    package init(_ path: String) throws(KernelError) {
        let number = inotify_init1(CInt(IN_CLOEXEC | IN_NONBLOCK))
        guard number >= 0 else { throw KernelError("inotify_init1", Errno(rawValue: errno), path) }
        descriptor = OwnedDescriptor(number)
        self.path = path
        rearm()
    }

    package var raw: CInt { descriptor.raw }

    /// Forgets what was announced, and follows the name to the file that bears it now.
    package func rearm() {
        var events = [UInt8](repeating: 0, count: 4096)
        while unsafe read(raw, &events, events.count) > 0 {}
        // The file, for a bind mount's directory tells nothing; the directory, for who renames another into its place.
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        _ = unsafe inotify_add_watch(raw, path, UInt32(IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF))
        _ = unsafe inotify_add_watch(
            raw, folder.isEmpty ? "/" : folder, UInt32(IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR))
    }
}
