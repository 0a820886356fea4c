import LinuxSystem
import Synchronization
import Testing

@testable import DataPlane

struct InquiriesTests {
    private static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        let time = try clock.measure(body)
        return Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
    }

    @Test func `without a loop there is no answer after a second`() throws {
        let inquiries = try Inquiries()
        var answer: Int? = 0
        let time = try Self.seconds { answer = try inquiries.ask { _, _ in 1 } }
        #expect(answer == nil)
        #expect((0.9...3).contains(time))
    }

    @Test func `a loop that is stuck does not answer, and does again when it has come loose`() throws {
        try withLoop(.poll) { wires in
            let gate = try Gate()
            let stuck = try Thread(named: "asker") { _ = try? wires.inquiries.ask { _, _ in gate.pass() } }
            gate.awaitArrival()
            let unanswered = try wires.inquiries.ask { _, _ in 1 }
            #expect(unanswered == nil)
            gate.open()
            stuck.join()
            let answered = try wires.inquiries.ask { _, _ in 2 }
            #expect(answered == 2)
        }
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `of many askers at once each gets its own answer`(kind: IOKind) throws {
        try withLoop(kind) { wires in
            let wrong = Mutex(0)
            try inParallel(16) { asker in
                for number in 0..<40 {
                    let answer = try? wires.inquiries.ask { _, snapshot in asker * 1000 + number + snapshot.flowsLive }
                    if answer != asker * 1000 + number { wrong.withLock { $0 += 1 } }
                }
            }
            #expect(wrong.withLock { $0 } == 0)
        }
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `a loop that stops leaves its askers without an answer, and not waiting`(kind: IOKind) throws {
        let time = try Self.seconds {
            try withLoop(kind) { wires in
                try inParallel(4) { asker in
                    for number in 0..<4 {
                        if asker == 0, number == 2 { wires.inquiries.stop() }
                        _ = try? wires.inquiries.ask { _, _ in number }
                    }
                }
            }
        }
        #expect(time < 8)
    }

    @Test(arguments: [IOKind.poll, .uring])
    func `a loop that nobody sends to stops at once`(kind: IOKind) throws {
        let time = try Self.seconds { try withLoop(kind) { _ in } }
        #expect(time < 0.9)
    }
}

/// Runs `body` on so many threads and waits for all of them.
func inParallel(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
    guard count > 0 else { return }
    let thread = try Thread(named: "parallel") { body(count - 1) }
    try inParallel(count - 1, body)
    thread.join()
}

/// Holds a visitor until it is opened.
final class Gate: Sendable {
    private let arrived: EventDescriptor
    private let opened: EventDescriptor

    init() throws(KernelError) {
        arrived = try EventDescriptor()
        opened = try EventDescriptor()
    }

    func pass() {
        arrived.signal()
        _ = opened.wait(milliseconds: 10_000)
    }

    func awaitArrival() { _ = arrived.wait(milliseconds: 10_000) }
    func open() { opened.signal() }
}
