import LinuxSystem
import Synchronization

/// Rung by the loop when as much has passed as was asked for: who counts what is billed need not look all the time, and
/// the loop knows nothing of bills.
package struct Bell: ~Copyable, Sendable {
    private let event: EventDescriptor
    /// Octets that the loop has let pass, and at how many of them it rings.
    private let passed = Atomic<UInt64>(0)
    private let alarm = Atomic<UInt64>(.max)

    init() throws(KernelError) { event = try EventDescriptor() }

    /// Has it rung once, when so many more octets have passed, both directions together; never where that is none.
    package func ring(after octets: UInt64?) {
        let (moment, isNever) = passed.load(ordering: .relaxed).addingReportingOverflow(octets ?? .max)
        alarm.store(isNever ? .max : moment, ordering: .relaxed)
    }

    package func signal() { event.signal() }

    /// Waits until it is rung; false when the time has passed first.
    package func wait(milliseconds: Int32) -> Bool { event.wait(milliseconds: milliseconds) }

    // MARK: The loop's side

    @inline(always)
    func tell(passed octets: UInt64) {
        passed.store(octets, ordering: .relaxed)
        if octets >= alarm.load(ordering: .relaxed) { ringOnce() }
    }

    @inline(never)
    private func ringOnce() {
        alarm.store(.max, ordering: .relaxed)
        event.signal()
    }
}
