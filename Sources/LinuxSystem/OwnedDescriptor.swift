import Glibc

/// A file descriptor with one owner: it is closed when its owner goes.
package struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number, to hand to a call. It is valid only while the owner lives.
    package let raw: CInt

    package init(_ raw: CInt) { self.raw = raw }

    /// Gives the number away; closing it is then the receiver's part.
    package consuming func surrender() -> CInt {
        let number = raw
        discard self
        return number
    }

    /// How many descriptors this process may have at a time.
    package static var limit: UInt64 {
        var limits = rlimit()
        // Cannot fail: the resource exists and the pointer is ours.
        _ = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        return UInt64(limits.rlim_cur)
    }

    deinit { _ = Glibc.close(raw) }
}
