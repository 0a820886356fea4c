internal import CLinux

/// A set of capabilities(7): the pieces root's power is cut into. Bits as in the kernel's sets.
package struct Capabilities: OptionSet, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    private init(_ number: CInt) { rawValue = 1 << UInt64(number) }

    package static let netAdmin = Capabilities(CAP_NET_ADMIN)
    package static let sysAdmin = Capabilities(CAP_SYS_ADMIN)
    package static let sysPtrace = Capabilities(CAP_SYS_PTRACE)
    package static let ipcLock = Capabilities(CAP_IPC_LOCK)
    package static let bpf = Capabilities(CAP_BPF)

    /// What the calling thread may do now.
    package static func effective() throws(KernelError) -> Capabilities {
        var set: UInt64 = 0
        try check("capget", "own thread", unsafe clinux_effective_capabilities(&set))
        return Capabilities(rawValue: set)
    }

    private static let named: [(capability: Capabilities, name: String)] = [
        (.netAdmin, "CAP_NET_ADMIN"), (.sysAdmin, "CAP_SYS_ADMIN"), (.sysPtrace, "CAP_SYS_PTRACE"), (.bpf, "CAP_BPF"),
        (.ipcLock, "CAP_IPC_LOCK"),
    ]

    /// The kernel's names of the members that this program has a word for, e.g. to tell a person what to add.
    package var names: [String] {
        Self.named.filter { contains($0.capability) }.map(\.name)
    }

    package var description: String { names.joined(separator: ", ") }
}
