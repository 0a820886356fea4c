internal import Glibc

/// Held by one process of a network namespace at a time, whichever containers the others are in; gone with its holder, however
/// that ends.
package struct NamespaceLock: ~Copyable {
    private let socket: OwnedDescriptor

    /// Waits for whoever has it, up to a limit.
    ///
    /// - Throws: EADDRINUSE after that.
    package init(_ name: String, upTo limit: Duration) throws(KernelError) {
        socket = try Self.socket(named: name, until: .now + limit)
    }

    package consuming func release() {}

    private static func socket(
        named name: String, until end: ContinuousClock.Instant
    ) throws(KernelError) -> OwnedDescriptor {
        let socket = try UnixSocket.nonBlocking()
        while true {
            do throws(KernelError) {
                try UnixSocket.bind(socket, toAbstract: name)
                return socket
            } catch {
                guard error.errno == .addressInUse, .now < end else { throw error }
                usleep(10_000)
            }
        }
    }
}
