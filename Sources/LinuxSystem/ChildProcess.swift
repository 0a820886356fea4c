internal import CLinux
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A program that we started and that cannot outlive us.
///
/// The kernel ties a child's death signal to the *thread* that forked it, so each child has a thread that forks it,
/// waits for it and ends after it. The child leads a session of its own: a signal reaches its own children too, and
/// what they leave behind is killed when it ends. Its working directory is `/` when it is started inside a namespace.
package final class ChildProcess: Sendable {
    package enum Input: Sendable {
        case nothing
        case text(String)
        /// Becomes the child's standard input; the caller keeps its own copy and closes it.
        case descriptor(CInt)
    }

    package enum Ending: Equatable, Sendable {
        case exited(CInt)
        case killed(signal: CInt)

        package var isSuccess: Bool { self == .exited(0) }
    }

    package let arguments: [String]
    private let life: Life
    private let output: MemoryFile
    private let complaints: MemoryFile

    /// Starts the program; when this returns it runs.
    ///
    /// - Parameters:
    ///   - arguments: the program, looked up in PATH, and its arguments. `env NAME=VALUE program` sets its environment.
    ///   - capabilities: all that it will have, though its uid stays 0. By default what we have.
    package init(
        _ arguments: [String], in namespace: Namespace? = nil, capabilities: Capabilities? = nil,
        input: Input = .nothing
    ) throws(KernelError) {
        self.arguments = arguments
        output = try MemoryFile()
        complaints = try MemoryFile()
        let text = if case .text(let text) = input { text } else { "" }
        let stdin = try MemoryFile(containing: text)
        let first = if case .descriptor(let number) = input { number } else { stdin.descriptor.raw }
        life = try Life()
        try life.begin(
            arguments, in: namespace, capabilities: capabilities,
            standard: [first, output.descriptor.raw, complaints.descriptor.raw])
        _ = consume stdin
    }

    /// Nobody is left behind: an owner who goes kills.
    deinit {
        signal(SIGKILL)
        _ = wait(upTo: .seconds(5))
    }

    package var processIdentifier: CInt { life.state.withLock { $0.pid } }
    package var standardOutput: String { output.text }
    package var standardError: String { complaints.text }

    /// How it ended, or nil if it still runs when the time is up.
    package func wait(upTo timeout: Duration) -> Ending? { life.wait(upTo: timeout) }

    /// To the child and its children; once it has ended, to nobody.
    package func signal(_ number: CInt) {
        life.state.withLock { if $0.ending == nil, $0.pid > 0 { _ = kill(-$0.pid, number) } }
    }

    /// Asks with SIGTERM, insists with SIGKILL.
    @discardableResult
    package func terminate(grace: Duration = .seconds(5)) -> Ending? {
        signal(SIGTERM)
        if let ending = wait(upTo: grace) { return ending }
        signal(SIGKILL)
        return wait(upTo: .seconds(5))
    }
}

/// What the child's thread and the child's owner share. The thread writes one octet into `news` when the start has been
/// decided and closes it when the child has ended.
private final class Life: Sendable {
    struct State {
        var pid: CInt = 0
        var refusal: KernelError?
        var ending: ChildProcess.Ending?
        var news: CInt
    }

    let state: Mutex<State>
    private let listener: OwnedDescriptor

    init() throws(KernelError) {
        var ends: [CInt] = [0, 0]
        guard unsafe pipe(&ends) == 0 else { throw KernelError("pipe", Errno(rawValue: errno), "child") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        listener = OwnedDescriptor(ends[0])
        state = Mutex(State(news: ends[1]))
    }

    func begin(
        _ arguments: [String], in namespace: Namespace?, capabilities: Capabilities?, standard: [CInt]
    ) throws(KernelError) {
        let thread = try Thread(named: "parent") { [self] in
            do throws(KernelError) {
                let pid = try spawn(arguments, in: namespace, capabilities: capabilities, standard: standard)
                tell { $0.pid = pid }
                _ = clinux_await_end(pid)
                state.withLock {
                    _ = kill(-pid, SIGKILL)
                    let code = clinux_reap(pid)
                    $0.ending = code < 256 ? .exited(code) : .killed(signal: code - 256)
                }
            } catch {
                tell { $0.refusal = error }
            }
            state.withLock { _ = close($0.news) }
        }
        _ = consume thread
        var decided: UInt8 = 0
        while unsafe read(listener.raw, &decided, 1) < 0, errno == EINTR {}
        if let refusal = state.withLock({ $0.refusal }) { throw refusal }
    }

    private func tell(_ change: (inout State) -> Void) {
        var decided: UInt8 = 1
        state.withLock {
            change(&$0)
            _ = unsafe write($0.news, &decided, 1)
        }
    }

    func wait(upTo timeout: Duration) -> ChildProcess.Ending? {
        let clock = ContinuousClock()
        let deadline = clock.now + timeout
        var ended = pollfd(fd: listener.raw, events: 0, revents: 0)
        while true {
            let left = max(.zero, min(deadline - clock.now, .seconds(86_400)))
            let milliseconds = left / .milliseconds(1)
            let answer = unsafe poll(&ended, 1, CInt(milliseconds))
            if answer < 0, errno == EINTR { continue }
            return state.withLock { $0.ending }
        }
    }
}

/// Runs on the thread that will wait for the child.
private func spawn(
    _ arguments: [String], in namespace: Namespace?, capabilities: Capabilities?, standard: [CInt]
) throws(KernelError) -> CInt {
    var texts = unsafe arguments.map { unsafe strdup($0) }
    defer { while let text = unsafe texts.popLast() { unsafe free(text) } }
    unsafe texts.append(nil)
    var step: CInt = 0
    let answer = unsafe texts.withUnsafeBufferPointer { texts in
        var child = unsafe clinux_child()
        unsafe child.arguments = texts.baseAddress
        unsafe child.net = namespace?.net.raw ?? -1
        unsafe child.mount_namespace = namespace?.mount.raw ?? -1
        unsafe child.standard = (standard[0], standard[1], standard[2])
        unsafe child.capabilities = capabilities?.rawValue ?? .max
        return unsafe clinux_spawn(&child, &step)
    }
    let call: StaticString =
        switch clinux_step(UInt32(step)) {
        case clinux_step_setns: "setns"
        case clinux_step_dup: "dup2"
        case clinux_step_capset: "capset"
        case clinux_step_exec: "execvp"
        default: "fork"
        }
    return try check(call, arguments.first ?? "nothing", answer)
}
