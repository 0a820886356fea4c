import Glibc
import LinuxSystem
import Testing

/// What a real terminal makes of it, the monitor's tests tell.
@Suite struct TerminalDescriptorTests {
    @Test("what is no terminal has no window, and gives no keys")
    func noTerminal() throws {
        let file = OwnedDescriptor(unsafe open("/dev/null", O_RDWR | O_CLOEXEC))
        #expect(!TerminalDescriptor.isTerminal(file.raw))
        #expect(TerminalDescriptor.window(of: file.raw) == nil)
        var terminal = try TerminalDescriptor(reopening: file.raw)
        #expect(terminal.raw != file.raw)
        let error = #expect(throws: KernelError.self) { try terminal.takeKeys() }
        #expect(error?.errno.rawValue == ENOTTY)
        // Nothing was taken, hence nothing is given back.
        terminal.giveBack()
        let typed = terminal.read()
        #expect(typed == nil)
    }

    @Test("what is not open is refused")
    func notOpen() {
        #expect(throws: KernelError.self) { _ = try TerminalDescriptor(reopening: -1) }
    }
}
