import CLinux
import Glibc
import SystemPackage

/// A counter in the kernel that one thread raises and another waits for, alone or in a set (eventfd(2)).
package struct EventDescriptor: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    package init() throws(KernelError) {
        let number = eventfd(0, CInt(EFD_CLOEXEC | EFD_NONBLOCK))
        guard number >= 0 else { throw KernelError("eventfd", Errno(rawValue: errno), "event") }
        descriptor = OwnedDescriptor(number)
    }

    /// The number, to wait for it in a set.
    package var raw: CInt { descriptor.raw }

    package func signal() {
        var one: UInt64 = 1
        _ = unsafe write(raw, &one, 8)
    }

    /// Waits until it is raised, and lowers it; false when the time has passed first.
    package func wait(milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&entry, 1, milliseconds) > 0 else { return false }
        Self.lower(raw)
        return true
    }

    /// Lowers an event by its number, for who waited for it in a set.
    package static func lower(_ raw: CInt) {
        var count: UInt64 = 0
        _ = unsafe read(raw, &count, 8)
    }
}
