internal import CLinux
internal import Glibc
internal import SystemPackage

/// A kernel thread of our own, for work that blocks or that must own what the kernel ties to a thread: namespaces,
/// io_uring's single issuer, the parent of a child.
package struct Thread: ~Copyable, Sendable {
    private let handle: pthread_t

    /// - Parameter name: shown by `ps -L` and in core dumps; the kernel keeps its first 15 octets.
    package init(named name: String, _ body: @escaping @Sendable () -> Void) throws(KernelError) {
        let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
        var handle = pthread_t()
        let refused = unsafe pthread_create(
            &handle, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                _ = unsafe clinux_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard refused == 0 else {
            unsafe start.release()
            throw KernelError("pthread_create", Errno(rawValue: refused), name)
        }
        self.handle = handle
    }

    /// Waits for the body's end.
    package consuming func join() {
        _ = pthread_join(handle, nil)
        discard self
    }

    /// Nanoseconds that it has been on a processor; nil where the kernel does not say, as of one that has ended.
    package var processorNanoseconds: UInt64? {
        var clock = clockid_t()
        var time = timespec()
        guard unsafe pthread_getcpuclockid(handle, &clock) == 0, unsafe clock_gettime(clock, &time) == 0 else {
            return nil
        }
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// A thread that nobody joins runs on and cleans up after itself.
    deinit { pthread_detach(handle) }
}

private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}
