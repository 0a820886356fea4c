import Glibc
import LinuxSystem
import SystemPackage

/// The place of the control socket in the file system: who may take it, and how it is given back.
enum ControlPath {
    /// Device and inode: whether a path still leads to the same file.
    struct Identity: Equatable {
        private let device, inode: UInt64

        /// Nil where nothing does.
        init?(_ path: String) {
            var entry = stat()
            guard unsafe lstat(path, &entry) == 0 else { return nil }
            (device, inode) = (UInt64(entry.st_dev), UInt64(entry.st_ino))
        }
    }

    /// A listening socket at `path`, for its owner alone.
    ///
    /// The directory is locked meanwhile, so that of two nodes that start at once only one can find a dead
    /// predecessor's socket and replace it.
    ///
    /// - Parameter patience: microseconds that another start is waited for.
    /// - Throws: a refusal if another node answers there, or something there is no socket.
    static func listen(at path: String, patience: useconds_t) throws(Refusal) -> OwnedDescriptor {
        do {
            let directory = try openDirectory(of: path)
            guard hasLocked(directory, patience) else { throw occupied(path) }
            try removeStale(path)
            let socket = try UnixSocket.nonBlocking()
            // Before bind: the file then has this mode from its first instant (Linux, unix_bind).
            guard fchmod(socket.raw, 0o600) == 0 else { throw UnixSocket.failure("fchmod", path) }
            try UnixSocket.bind(socket, to: path)
            guard Glibc.listen(socket.raw, 64) == 0 else { throw UnixSocket.failure("listen", path) }
            return socket
        } catch let refusal as Refusal {
            throw refusal
        } catch let error as KernelError {
            throw refused(path, error)
        } catch {
            throw Refusal(couldNot: "open the control socket", because: "\(error)", exitCode: .bug)
        }
    }

    /// Another start may hold the lock for a moment, with a socket of another name perhaps.
    private static func hasLocked(_ directory: borrowing OwnedDescriptor, _ patience: useconds_t) -> Bool {
        let pause: useconds_t = 20_000
        for _ in 0..<patience / pause {
            if flock(directory.raw, LOCK_EX | LOCK_NB) == 0 { return true }
            usleep(pause)
        }
        return flock(directory.raw, LOCK_EX | LOCK_NB) == 0
    }

    /// Opens the directory, having made what is missing of it, for its owner alone.
    private static func openDirectory(of path: String) throws(KernelError) -> OwnedDescriptor {
        let directory = FilePath(path).removingLastComponent()
        var made = FilePath("/")
        for component in directory.components {
            made.append(component)
            guard unsafe mkdir(made.string, 0o700) == 0 || Glibc.errno == EEXIST else {
                throw UnixSocket.failure("mkdir", made.string)
            }
        }
        let raw = unsafe Glibc.open(directory.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard raw >= 0 else { throw UnixSocket.failure("open", directory.string) }
        return OwnedDescriptor(raw)
    }

    /// Removes the socket of a process that is no more: nobody accepts there.
    private static func removeStale(_ path: String) throws {
        var entry = stat()
        guard unsafe lstat(path, &entry) == 0 else { return }
        guard entry.st_mode & S_IFMT == S_IFSOCK else { throw noSocket(path) }
        do {
            try UnixSocket.connect(UnixSocket.nonBlocking(), to: path)
            throw occupied(path)
        } catch let error as KernelError where error.errno == .connectionRefused {
            guard unsafe unlink(path) == 0 else { throw UnixSocket.failure("unlink", path) }
        } catch let error as KernelError where error.errno == .resourceTemporarilyUnavailable {
            // Alive, and more are asking than it has yet accepted.
            throw occupied(path)
        }
    }

    /// Why a socket at `path` could not be made, as far as one can tell without making it; nil when nothing speaks against.
    static func obstacle(at path: String) -> Refusal? {
        var entry = stat()
        if unsafe lstat(path, &entry) == 0 {
            guard entry.st_mode & S_IFMT == S_IFSOCK else { return noSocket(path) }
        }
        // What is missing of the directory would be made in the nearest that is there.
        var directory = FilePath(path).removingLastComponent()
        while unsafe lstat(directory.string, &entry) != 0, !directory.components.isEmpty {
            directory.removeLastComponent()
        }
        let name = directory.string
        guard unsafe stat(name, &entry) == 0, entry.st_mode & S_IFMT == S_IFDIR else {
            return refused(path, KernelError("mkdir", .notDirectory, name))
        }
        return unsafe access(name, W_OK | X_OK) == 0 ? nil : refused(path, UnixSocket.failure("access", name))
    }

    private static func refused(_ path: String, _ error: KernelError) -> Refusal {
        Refusal(
            couldNot: "open the control socket", error,
            remedy: "name a place that can be written: \(another(than: path))")
    }

    private static func another(than path: String) -> String {
        let common = NodeSettings().controlSocket
        return "--control-socket \(path == common ? "/run/forwarder.sock" : common)"
    }

    private static func noSocket(_ path: String) -> Refusal {
        Refusal(
            couldNot: "open the control socket", because: "\(path) is there and is no socket",
            remedy: "move it away, or name another place: \(another(than: path))",
            exitCode: .unavailable)
    }

    /// Something is taken, hence 69: more permission or another flag would not help, and nothing of ours broke.
    private static func occupied(_ path: String) -> Refusal {
        Refusal(
            couldNot: "open the control socket", because: "another forwarder answers on \(path)",
            remedy: "stop that one, or look at it: \(nextCommand("status", controlSocket: path))",
            exitCode: .unavailable)
    }
}
