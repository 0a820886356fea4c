package import LinuxSystem
import NIOCore
import NIOPosix
import Synchronization

/// Asks tailscaled again and again which subnet routes it advertises, on a thread of its own, so that nobody waits for
/// tailscaled.
package final class SubnetRouteWatch: Sendable {
    package struct Answer: Equatable, Sendable {
        /// As they were told last; nil until they were told once. A tailscaled that is gone has changed nothing.
        package fileprivate(set) var routes: SubnetRoutes?
        /// Why they were not told this time.
        package fileprivate(set) var failure: LocalAPIFailure?
        /// The path of tailscaled's socket.
        package fileprivate(set) var socket: String
    }

    /// What a person who has just advertised a route would wait without noticing. Asking takes 0.2 ms.
    private static let interval = TimeAmount.seconds(5)

    private let group: MultiThreadedEventLoopGroup
    private let news: EventDescriptor
    private let current: Mutex<Answer>

    /// Begins to ask. Signals that the calling thread has blocked stay blocked on the watch's thread.
    package init(socket: String) throws(KernelError) {
        news = try EventDescriptor()
        current = Mutex(Answer(socket: socket))
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        ask()
    }

    /// Readable when the answer is another one than before.
    package var descriptor: CInt { news.raw }

    /// The answer as it is now; from here on the descriptor tells of the next one.
    package func takeAnswer() -> Answer {
        EventDescriptor.lower(news.raw)
        return current.withLock { $0 }
    }

    /// Asks at another socket from the next time on.
    package func move(to socket: String) {
        current.withLock { answer in
            // Why the other did not tell is nothing of this one's.
            if answer.socket != socket { (answer.socket, answer.failure) = (socket, nil) }
        }
    }

    /// Asks no more.
    package func end() { try? group.syncShutdownGracefully() }

    private func ask() {
        let loop = group.next()
        let socket = current.withLock { $0.socket }
        LocalAPI(socket: socket, loop: loop).subnetRoutes().whenComplete { [self] outcome in
            let isNew = current.withLock { answer in
                let before = answer
                // Asked before it was told to move.
                guard answer.socket == socket else { return false }
                switch outcome {
                case .success(let routes): (answer.routes, answer.failure) = (routes, nil)
                case .failure(let error): answer.failure = error as? LocalAPIFailure
                }
                return answer != before
            }
            if isNew { news.signal() }
            loop.scheduleTask(in: Self.interval) { self.ask() }
        }
    }

    /// Asks once and waits for the answer: at most two seconds.
    package static func answer(at socket: String) -> Answer {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        var answer = Answer(socket: socket)
        do {
            answer.routes = try LocalAPI(socket: socket, loop: group.next()).subnetRoutes().wait()
        } catch {
            answer.failure = error as? LocalAPIFailure
        }
        return answer
    }
}
