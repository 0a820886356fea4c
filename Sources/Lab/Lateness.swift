internal import Glibc
internal import LinuxSystem
import Synchronization

/// How late the machine lets a thread go on that sleeps a millisecond at a time: what befalls it befalls whatever is
/// measured beside it, and is not that one's fault.
package final class Lateness: Sendable {
    private static let nap: useconds_t = 1_000
    /// Below this, in milliseconds, nobody cares.
    private static let least = 2.0

    private let isOver = Atomic<Bool>(false)
    private let delays = Mutex<[Double]>([])
    private let began = MonotonicClock().nanoseconds

    /// Begins.
    package init() throws(LabFailure) {
        _ = try toward("watch the machine") { () throws(KernelError) in
            try LinuxSystem.Thread(named: "lab-lateness") { [self] in
                let clock = MonotonicClock()
                var before = clock.nanoseconds
                while !isOver.load(ordering: .relaxed) {
                    usleep(Self.nap)
                    let now = clock.nanoseconds
                    let late = Double(now - before) / 1e6 - Double(Self.nap) / 1e3
                    if late > Self.least { delays.withLock { $0.append(late) } }
                    before = now
                }
            }
        }
    }

    package func end() { isOver.store(true, ordering: .relaxed) }

    /// The longest delay so far, in milliseconds.
    package var longest: Double { delays.withLock { $0.max() ?? 0 } }

    /// The share of the time until now that went to delays, of each what exceeds so many milliseconds.
    package func share(beyond milliseconds: Double) -> Double {
        let lost = delays.withLock { $0.reduce(0) { $0 + max(0, $1 - milliseconds) } }
        return lost * 1e6 / Double(MonotonicClock().nanoseconds - began)
    }
}
