import LocalAPI
import Synchronization

/// What tailscaled calls the clients, asked for when a person asks. Kept in memory only, and told anew after some seconds.
final class ClientNames: Sendable {
    typealias Answer = Result<PeerNames, LocalAPIFailure>

    /// No name for as long, too: who looks each second must not wait for a silent tailscaled each time.
    private static let lifetime = Duration.seconds(10)

    private struct Kept {
        let socket: String
        let answer: Answer
        let end: ContinuousClock.Instant
    }

    private let kept = Mutex<Kept?>(nil)

    /// Waits for tailscaled, a second and a half at most.
    func answer(at socket: String) -> Answer {
        if let kept = kept.withLock({ $0 }), kept.socket == socket, ContinuousClock.now < kept.end {
            return kept.answer
        }
        let answer = Answer { () throws(LocalAPIFailure) in try PeerNames.answer(at: socket) }
        kept.withLock { $0 = Kept(socket: socket, answer: answer, end: .now + Self.lifetime) }
        return answer
    }
}
