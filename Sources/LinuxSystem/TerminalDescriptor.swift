internal import CLinux
internal import Glibc
internal import SystemPackage

/// A terminal that gives its keys one by one, until it is given back as it was.
///
/// It has an open file of its own, on which no call blocks: what is set on the one that we were started with, our shell has
/// set as well.
package struct TerminalDescriptor: ~Copyable {
    private let descriptor: OwnedDescriptor
    /// As it was before keys were taken; none where they are not.
    private var before: clinux_terminal_modes?

    /// - Parameter descriptor: a terminal, 1 for example.
    package init(reopening descriptor: CInt) throws(KernelError) {
        var raw = unsafe open("/proc/self/fd/\(descriptor)", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        // Another user's, or not to be seen from this mount namespace: then it may block.
        if raw < 0 { raw = fcntl(descriptor, F_DUPFD_CLOEXEC, 3) }
        guard raw >= 0 else { throw KernelError("open", Errno(rawValue: errno), "terminal") }
        self.descriptor = OwnedDescriptor(raw)
    }

    package static func isTerminal(_ descriptor: CInt) -> Bool { isatty(descriptor) == 1 }

    /// The number, to wait for it in a set.
    package var raw: CInt { descriptor.raw }

    /// Columns and rows, as a terminal on this descriptor has them; none where it is none, or does not know.
    package static func window(of descriptor: CInt) -> (columns: Int, rows: Int)? {
        var (columns, rows) = (CInt(0), CInt(0))
        guard unsafe clinux_terminal_window(descriptor, &columns, &rows) == 0, columns > 0, rows > 0 else { return nil }
        return (Int(columns), Int(rows))
    }

    /// Keys come one by one and are not shown. Again and again does no harm: who was stopped may find them otherwise.
    package mutating func takeKeys() throws(KernelError) {
        var modes = clinux_terminal_modes()
        if let before {
            modes = before
        } else {
            try check("tcgetattr", "terminal", unsafe clinux_terminal_modes_of(raw, &modes))
        }
        try check("tcsetattr", "terminal", unsafe clinux_terminal_take_keys(raw, &modes))
        before = modes
    }

    /// As it was before keys were taken.
    package mutating func giveBack() {
        guard var modes = before else { return }
        before = nil
        // Refused by one that has gone: then there is nothing to be given back.
        _ = unsafe clinux_terminal_give_back(raw, &modes)
    }

    /// How many octets it took; none while it takes no more.
    package func write(_ octets: ArraySlice<UInt8>) throws(KernelError) -> Int {
        let count = unsafe octets.withUnsafeBytes { unsafe Glibc.write(raw, $0.baseAddress, $0.count) }
        if count >= 0 { return count }
        guard errno == EAGAIN || errno == EINTR else { throw KernelError("write", Errno(rawValue: errno), "terminal") }
        return 0
    }

    /// What was typed; nil once the terminal has gone.
    package func read() -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: 256)
        let count = unsafe octets.withUnsafeMutableBytes { unsafe Glibc.read(raw, $0.baseAddress, $0.count) }
        if count > 0 { return Array(octets[..<count]) }
        return count < 0 && (errno == EAGAIN || errno == EINTR) ? [] : nil
    }

    /// Stops this process until it is continued, as Ctrl-Z asks. Where nobody could continue it, it goes on at once.
    package static func stopUntilContinued() { clinux_stop_until_continued() }

    deinit { if var modes = before { _ = unsafe clinux_terminal_give_back(descriptor.raw, &modes) } }
}
