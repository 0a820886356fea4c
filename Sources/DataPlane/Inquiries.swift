package import LinuxSystem
import Synchronization

/// What other threads tell the loop, and questions that they put to it, which it answers between two batches.
///
/// The loop shares nothing else with anybody: its counters have one reader and one writer, itself. Per round it costs a
/// few loads and a store. A loop that does not answer within a second is stuck, which is worth knowing too.
package final class Inquiries: Sendable {
    package typealias Question = @Sendable (inout NAT, Snapshot) -> Void

    private let questions = Mutex<[Question]>([])
    private let waiting = Atomic<Bool>(false)
    private let stopping = Atomic<Bool>(false)
    private let over = Atomic<Bool>(false)
    private let gateWord = Atomic<UInt64>(Gate.open.word)
    private let wake: EventDescriptor
    package let bell: Bell

    package init() throws(KernelError) {
        wake = try EventDescriptor()
        bell = try Bell()
    }

    /// The descriptor that wakes the loop up.
    package var wakeDescriptor: CInt { wake.raw }

    // MARK: The asking side

    /// Has the loop compute an answer; none when it has not done so within a second, and at once where it has ended.
    package func ask<Answer: Sendable>(
        _ question: @escaping @Sendable (inout NAT, Snapshot) -> Answer
    ) throws(KernelError) -> Answer? {
        guard !isOver else { return nil }
        let reply = try Reply<Answer>()
        questions.withLock { $0.append { nat, snapshot in reply.give(question(&nat, snapshot)) } }
        waiting.store(true, ordering: .releasing)
        wake.signal()
        return reply.take(milliseconds: 1000)
    }

    /// Holds from the loop's next round on.
    package func set(_ gate: Gate) {
        gateWord.store(gate.word, ordering: .relaxed)
        wake.signal()
    }

    package func stop() {
        stopping.store(true, ordering: .releasing)
        wake.signal()
    }

    /// Whether the loop has ended, so that nobody answers.
    package var isOver: Bool { over.load(ordering: .acquiring) }

    // MARK: The loop's side

    func end() { over.store(true, ordering: .releasing) }

    var stopRequested: Bool { stopping.load(ordering: .acquiring) }
    var isWaiting: Bool { waiting.load(ordering: .acquiring) }
    var gate: Gate { Gate(word: gateWord.load(ordering: .relaxed)) }

    func answer(_ nat: inout NAT, _ snapshot: Snapshot) {
        waiting.store(false, ordering: .releasing)
        let asked = questions.withLock { questions in
            let asked = questions
            questions.removeAll()
            return asked
        }
        for question in asked { question(&nat, snapshot) }
    }
}

/// Where one answer is left and picked up.
private final class Reply<Answer: Sendable>: Sendable {
    private let answer = Mutex<Answer?>(nil)
    private let given: EventDescriptor

    init() throws(KernelError) { given = try EventDescriptor() }

    func give(_ value: Answer) {
        answer.withLock { $0 = value }
        given.signal()
    }

    func take(milliseconds: Int32) -> Answer? {
        guard given.wait(milliseconds: milliseconds) else { return nil }
        return answer.withLock { $0 }
    }
}
