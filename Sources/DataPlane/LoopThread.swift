package import LinuxSystem
import Synchronization

/// How packets are moved. Scripts see the raw values: never renamed.
package enum IOKind: String, Sendable, CaseIterable {
    case uring
    case poll
}

/// The loop on a thread of its own, from its start to its end.
package final class LoopThread: Sendable {
    /// What the loop uses, and what the kernel said to anything better.
    package struct Choice: Sendable {
        package let kind: IOKind
        package let refusal: KernelError?
    }

    /// Buffers per port: as many as fit one huge page for both. Twice as many were no faster, and what is read must still
    /// be in the second-level cache when it is written.
    static let slotsPerPort = FrameArena.slotsPerHugePage / 2

    package let choice: Choice
    private let life: LoopLife
    private let thread: Mutex<Thread?>

    /// Starts the loop; when this returns, it has its I/O and runs.
    ///
    /// - Parameter kinds: what may be used, the best first.
    /// - Throws: why the last of them could not be had.
    package init(
        inside: consuming Port, outside: consuming Port, nat: consuming NAT, kinds: [IOKind], inquiries: Inquiries
    ) throws(KernelError) {
        let life = LoopLife(
            LoopLife.Parts(inside: inside, outside: outside, nat: nat), kinds, inquiries,
            started: try EventDescriptor(), ended: try EventDescriptor())
        let thread = try Thread(named: "fwd-loop") { life.run() }
        while !life.started.wait(milliseconds: -1) {}
        choice = try life.beginning.withLock { $0 }.get()
        self.life = life
        self.thread = Mutex(thread)
    }

    /// The loop uses memory of its owner's: it ends before its owner does.
    deinit {
        life.stop()
        thread.withLock { $0.take() }?.join()
    }

    /// Readable when the loop has ended.
    package var endedDescriptor: CInt { life.ended.raw }

    /// Nanoseconds that the loop has been on a processor.
    package var processorNanoseconds: UInt64? { thread.withLock { $0?.processorNanoseconds } }

    /// Waits for the loop's end.
    ///
    /// - Throws: why a port could not be read any more.
    package func join() throws(KernelError) {
        let running = thread.withLock { $0.take() }
        running?.join()
        if let error = life.end.withLock({ $0 }) { throw error }
    }
}

/// What a loop is made of, and what became of it.
private final class LoopLife: Sendable {
    struct Parts: ~Copyable, Sendable {
        let inside: Port
        let outside: Port
        let nat: NAT
    }

    private let parts: Mutex<Parts?>
    private let kinds: [IOKind]
    private let inquiries: Inquiries
    let started: EventDescriptor
    let ended: EventDescriptor
    let beginning = Mutex<Result<LoopThread.Choice, KernelError>>(.failure(KernelError("start", .canceled, "fwd-loop")))
    let end = Mutex<KernelError?>(nil)

    init(
        _ parts: consuming Parts, _ kinds: [IOKind], _ inquiries: Inquiries, started: consuming EventDescriptor,
        ended: consuming EventDescriptor
    ) {
        self.parts = Mutex(parts)
        self.kinds = kinds
        self.inquiries = inquiries
        self.started = started
        self.ended = ended
    }

    func stop() { inquiries.stop() }

    func run() {
        guard let parts = parts.withLock({ $0.take() }) else { return }
        let ports = PortDescriptors(
            inside: parts.inside.descriptor.raw, outside: parts.outside.descriptor.raw,
            wake: inquiries.wakeDescriptor)
        var refusal: KernelError?
        for kind in kinds {
            do throws(KernelError) {
                // io_uring insists on being set up by the thread that uses it.
                switch kind {
                case .uring:
                    let io = try UringIO(ports: ports, slots: LoopThread.slotsPerPort)
                    return loop(io, parts, LoopThread.Choice(kind: kind, refusal: refusal))
                case .poll:
                    let io = try PollIO(ports: ports, slots: 2 * LoopThread.slotsPerPort)
                    return loop(io, parts, LoopThread.Choice(kind: kind, refusal: refusal))
                }
            } catch {
                refusal = error
            }
        }
        if let refusal { beginning.withLock { $0 = .failure(refusal) } }
        started.signal()
    }

    private func loop<IO: PacketIO & ~Copyable>(
        _ io: consuming IO, _ parts: consuming Parts, _ choice: LoopThread.Choice
    ) {
        beginning.withLock { $0 = .success(choice) }
        started.signal()
        do throws(KernelError) {
            var loop = try Loop(
                io: io, inside: parts.inside, outside: parts.outside, nat: parts.nat, clock: LoopClock(),
                inquiries: inquiries)
            try loop.run()
        } catch {
            end.withLock { $0 = error }
        }
        inquiries.end()
        ended.signal()
    }
}
