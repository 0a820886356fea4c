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

    deinit { _ = Glibc.close(raw) }
}
