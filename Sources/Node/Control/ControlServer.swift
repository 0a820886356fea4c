import FoundationEssentials
import Glibc
import LinuxSystem
import Synchronization
import SystemPackage

/// Answers on the control socket: one line of JSON in, one JSON object out, close.
///
/// One thread serves all. Nobody can hold it: sockets do not block, a connection has a second to ask and a second to
/// take its answer, and at most sixteen are open; the oldest gives way to one more, be it in the midst of its answer.
package final class ControlServer: Sendable {
    private static let connectionLimit = 16
    private static let patience = Duration.seconds(1)

    private let path: String
    private let place: Mutex<Place>
    private let isStopped = Atomic<Bool>(false)

    /// Where we listen.
    private struct Place: ~Copyable {
        var listener: OwnedDescriptor
        /// What bears the name is ours as long as it is this.
        var identity: ControlPath.Identity?
        /// Shut down, and still waited for by the thread that serves.
        var former: OwnedDescriptor?

        init(_ path: String, patience: useconds_t = 1_000_000) throws(Refusal) {
            listener = try ControlPath.listen(at: path, patience: patience)
            identity = ControlPath.Identity(path)
        }
    }

    /// Takes the socket at `path`; who asks from here on is answered as soon as `serve` runs.
    ///
    /// - Throws: a refusal if another node answers there already.
    package init(path: String) throws(Refusal) {
        place = Mutex(try Place(path))
        self.path = path
    }

    deinit { stop() }

    /// Ends `serve`, from any thread: a listener that is shut down wakes who polls it, and refuses who connects.
    ///
    /// The path goes first: who finds nobody answering there may take it, and must not lose it to us later.
    package func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        place.withLock { place in
            if ControlPath.Identity(path) == place.identity { _ = unsafe unlink(path) }
            _ = shutdown(place.listener.raw, CInt(SHUT_RDWR))
        }
    }

    /// Listens anew where somebody took the socket away, a cleaner of temporary files for example. Called at each of the
    /// node's looks, a minute apart at most; it waits for nobody.
    ///
    /// - Returns: whether that was needed.
    /// - Throws: a refusal if the place is another's by now.
    package func restore() throws(Refusal) -> Bool {
        try place.withLock { place throws(Refusal) in
            guard place.identity == nil || ControlPath.Identity(path) != place.identity, place.former == nil else {
                return false
            }
            var renewed = try Place(path, patience: 0)
            swap(&place.listener, &renewed.listener)
            place.identity = renewed.identity
            _ = shutdown(renewed.listener.raw, CInt(SHUT_RDWR))
            place.former = consume renewed.listener
            return true
        }
    }

    /// Serves until `stop`. `answer` is asked on this thread; while it thinks, nobody else is served.
    ///
    /// - Parameter rest: called once nobody has asked for a second, after somebody has.
    package func serve(
        whenQuiet rest: () -> Void = {}, _ answer: (ControlRequest) throws(Refusal) -> any Report
    ) {
        var connections: [Connection] = []
        var hasAnswered = false
        while true {
            let listener = place.withLock { place in
                place.former = nil
                return place.listener.raw
            }
            var waitingFor: [(raw: CInt, events: CInt)] = [(listener, POLLIN)]
            waitingFor += connections.map { ($0.socket.raw, $0.isAsking ? POLLIN : POLLOUT) }

            let patience = connections.isEmpty && hasAnswered ? 1000 : Self.untilFirstDeadline(of: connections)
            let ready = UnixSocket.wait(waitingFor, milliseconds: patience)
            guard ready[0] & POLLHUP == 0 else {
                if isStopped.load(ordering: .acquiring) { return }
                continue
            }
            if connections.isEmpty, hasAnswered, ready[0] == 0 {
                hasAnswered = false
                rest()
            }
            let now = ContinuousClock.now
            for (connection, events) in zip(connections, ready[1...]) where events != 0 {
                connection.advance(answer, until: now + Self.patience)
            }
            connections.removeAll { $0.isDone || $0.deadline <= now }
            if ready[0] != 0 {
                var error: CInt = 0
                let socket = place.withLock { place in
                    let socket = UnixSocket.accept(place.listener)
                    error = Glibc.errno
                    return socket
                }
                if let socket {
                    hasAnswered = true
                    if connections.count == Self.connectionLimit { connections.removeFirst() }
                    connections.append(Connection(socket, deadline: now + Self.patience))
                } else if error != EAGAIN {
                    // Out of descriptors, perhaps: who waits goes on waiting, and we do not spin.
                    usleep(50_000)
                }
            }
        }
    }

    /// For ever when nobody is connected, so that an idle node does not wake.
    private static func untilFirstDeadline(of connections: [Connection]) -> CInt {
        guard let first = connections.map(\.deadline).min() else { return -1 }
        let left = ContinuousClock.now.duration(to: first)
        // One more, or the last fraction of a millisecond would be spent in a spin.
        return CInt(max(0, left / .milliseconds(1)) + 1)
    }
}

/// One client: it asks, then it is answered, then it is done.
private final class Connection {
    private static let requestLimit = 4_096

    let socket: OwnedDescriptor
    private(set) var deadline: ContinuousClock.Instant
    private(set) var isDone = false
    private var asked: [UInt8] = []
    private var toSend: ArraySlice<UInt8>?

    init(_ socket: consuming OwnedDescriptor, deadline: ContinuousClock.Instant) {
        self.socket = socket
        self.deadline = deadline
    }

    var isAsking: Bool { toSend == nil }

    /// Goes as far as the socket goes without waiting.
    ///
    /// - Parameter deadline: until when the answer, once there is one, must have been taken.
    func advance(
        _ answer: (ControlRequest) throws(Refusal) -> any Report, until deadline: ContinuousClock.Instant
    ) {
        do {
            if isAsking, try hasAsked() {
                toSend = Self.reply(to: asked, answer)[...]
                self.deadline = deadline
            }
            while let rest = toSend, !isDone {
                toSend = rest.dropFirst(try UnixSocket.send(socket, rest))
                isDone = toSend?.isEmpty ?? true
            }
        } catch {
            isDone = error.errno != .resourceTemporarilyUnavailable && error.errno != .interrupted
        }
    }

    /// Reads on, and tells whether the request is there: a line, an end, or more than a request may be.
    private func hasAsked() throws(KernelError) -> Bool {
        let arrived = try UnixSocket.receive(socket, atMost: Self.requestLimit + 1 - asked.count)
        asked += arrived
        return arrived.isEmpty || arrived.contains(UInt8(ascii: "\n")) || asked.count > Self.requestLimit
    }

    private static func reply(
        to asked: [UInt8], _ answer: (ControlRequest) throws(Refusal) -> any Report
    ) -> [UInt8] {
        do {
            let line = asked.prefix { $0 != UInt8(ascii: "\n") }
            return Array(try answer(ControlRequest(line: line)).json())
        } catch {
            // A refusal is text only; it can always be written.
            return (try? RefusalReport(error).json()).map(Array.init) ?? []
        }
    }
}
