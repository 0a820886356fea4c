import LinuxSystem
import Node
import Synchronization

/// Looks at a node at an interval, on a thread of its own: a node that hangs takes seconds to be given up, and keys must not
/// wait for that.
final class Lookout: Sendable {
    private struct State {
        var news: [Result<Look, Refusal>] = []
        var addresses: ControlRequest.Addresses
    }

    private let state: Mutex<State>
    private let hurry: EventDescriptor
    private let arrival: EventDescriptor

    init(_ addresses: ControlRequest.Addresses) throws(KernelError) {
        state = Mutex(State(addresses: addresses))
        hurry = try EventDescriptor()
        arrival = try EventDescriptor()
    }

    /// Readable when there is news.
    var raw: CInt { arrival.raw }

    /// From an interval after now until the process ends.
    func begin(at path: String, every seconds: Double) throws(KernelError) {
        let thread = try Thread(named: "lookout") { [self] in
            let clock = MonotonicClock()
            var start = clock.nanoseconds
            while true {
                let passed = Double(clock.nanoseconds - start) / 1e9
                _ = hurry.wait(milliseconds: Int32(max(0.05, seconds - passed) * 1e3))
                start = clock.nanoseconds
                let addresses = state.withLock { $0.addresses }
                let look = Result { () throws(Refusal) in try Look(at: path, addresses) }
                // Nobody may be taking them: the process was stopped, or the terminal does not take pictures.
                state.withLock { $0.news = $0.news.suffix(8) + [look] }
                arrival.signal()
            }
        }
        _ = consume thread
    }

    /// What was seen since the last time, the newest last.
    func take() -> [Result<Look, Refusal>] {
        EventDescriptor.lower(arrival.raw)
        return state.withLock { state in
            defer { state.news = [] }
            return state.news
        }
    }

    /// From the next look on, which is at once.
    func ask(for addresses: ControlRequest.Addresses) {
        state.withLock { $0.addresses = addresses }
        hurry.signal()
    }
}
