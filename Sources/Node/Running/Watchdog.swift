import DataPlane
import LinuxSystem
import Synchronization

/// Sees that the packet loop goes round.
///
/// It asks the loop as everybody does, every 2.5 seconds, and believes only what it has seen itself (`Silence`). Nobody is
/// saved by waiting longer: a round takes microseconds, and the longest question that is put to a loop some milliseconds.
///
/// Where systemd wants signs of life it gives them, as long as the loop answers and the node's own thread follows.
final class Watchdog: Sendable {
    typealias Instant = ContinuousClock.Instant

    private static let usualInterval = Duration.milliseconds(2_500)
    /// After a question that was not answered the next one is soon.
    private static let shortInterval = Duration.milliseconds(500)

    private let supervisor: Supervisor?
    private let stopRequest: EventDescriptor
    /// Asks the node's own thread for a sign of life.
    private let call: EventDescriptor
    private let hasFollowed = Atomic<Bool>(true)

    init(for supervisor: Supervisor?) throws(KernelError) {
        self.supervisor = supervisor
        stopRequest = try EventDescriptor()
        call = try EventDescriptor()
    }

    /// Readable when the node's own thread is asked for a sign of life.
    var callDescriptor: CInt { call.raw }

    /// That sign.
    func follow() {
        EventDescriptor.lower(call.raw)
        hasFollowed.store(true, ordering: .relaxed)
    }

    func stop() { stopRequest.signal() }

    /// Watches until `stop`, or until the loop is stuck.
    ///
    /// - Parameters:
    ///   - inquiries: how one puts questions to the loop; none before there is one. That of a loop which is to end is asked,
    ///     too, until it has ended.
    ///   - look: called at each look.
    /// - Returns: whether it is stuck.
    func watch(_ inquiries: () -> Inquiries?, atEachLook look: () -> Void = {}) -> Bool {
        let half = supervisor?.patience.map { max($0, Self.shortInterval) / 2 }
        let interval = min(Self.usualInterval, half.map { $0 / 2 } ?? Self.usualInterval)
        var silence = Silence()
        var lastSign = Instant.now
        while true {
            let pause = silence.isBroken ? interval : Self.shortInterval
            if stopRequest.wait(milliseconds: CInt(pause / .milliseconds(1))) { return false }
            look()
            if let inquiries = inquiries() {
                ask(inquiries, &silence)
                if silence.isStuck { return true }
            }
            let now = Instant.now
            guard let half, silence.isBroken, now - lastSign >= half - interval / 2,
                hasFollowed.exchange(false, ordering: .relaxed)
            else { continue }
            supervisor?.tellAlive()
            lastSign = now
            call.signal()
        }
    }

    private func ask(_ inquiries: Inquiries, _ silence: inout Silence) {
        let begin = Instant.now
        do throws(KernelError) {
            let isAnswered = try inquiries.ask { _, _ in true } ?? inquiries.isOver
            silence.hear(isAnswered, after: begin.duration(to: .now))
        } catch {
            // The question could not be put, for want of descriptors perhaps: it says nothing of the loop.
        }
    }
}

extension Watchdog {
    /// What was heard of the loop, question by question.
    struct Silence {
        /// As `Inquiries` waits for an answer.
        private static let patience = Duration.seconds(1)
        /// Questions without an answer, one after the other, that make a loop stuck.
        private static let limit = 3

        private var unanswered = 0

        var isBroken: Bool { unanswered == 0 }
        var isStuck: Bool { unanswered >= Self.limit }

        /// - Parameter time: since it was asked. Where that is much longer than anybody waits, we stood still ourselves, with
        ///   the loop perhaps: a machine asleep, a process that was stopped. It says nothing of the loop.
        mutating func hear(_ isAnswered: Bool, after time: Duration) {
            if isAnswered {
                unanswered = 0
            } else if time < Self.patience * 2 {
                unanswered += 1
            }
        }
    }
}
