import CLinux

/// Signals that wait to be read instead of interrupting. To be made before any thread is started: these inherit the mask.
package struct SignalDescriptor: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    package init(_ signals: [CInt]) throws(KernelError) {
        descriptor = OwnedDescriptor(
            try check("signalfd", "signals", unsafe clinux_signal_descriptor(signals, CInt(signals.count))))
    }

    /// Readable when a signal came.
    package var raw: CInt { descriptor.raw }
}
