import Foundation
import Glibc
import Testing

let isRoot = geteuid() == 0
let needsRoot: Comment = "a network namespace of the test's own needs root"

/// Runs `body` in a fresh network namespace, which ends with it.
///
/// Only this thread moves, and `body` cannot suspend: it stays on the thread, and so do the processes it starts.
func inFreshNamespace(_ body: () throws -> Void) throws {
    let home = unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    defer { close(home) }
    try #require(Scheduling.unshare(Scheduling.newNetwork) == 0, "unshare: errno \(errno)")
    defer {
        // A thread left behind in the namespace would fail whatever test comes next.
        precondition(Scheduling.setns(home, Scheduling.newNetwork) == 0)
    }
    try body()
}

/// The calls of `sched.h` that Glibc's Swift overlay does not carry.
private enum Scheduling {
    /// CLONE_NEWNET of `linux/sched.h`.
    static let newNetwork: CInt = 0x4000_0000

    static let unshare = unsafe unsafeBitCast(dlsym(nil, "unshare"), to: (@convention(c) (CInt) -> CInt).self)
    static let setns = unsafe unsafeBitCast(dlsym(nil, "setns"), to: (@convention(c) (CInt, CInt) -> CInt).self)
}

/// What a command answers, most often one of iproute2: the oracle of these tests, and the hand that prepares the ground.
///
/// Through popen, because it starts no thread: one started here would stay in the namespace and serve other tests.
@discardableResult
func answer(_ command: String) throws -> Data {
    let output = unsafe try #require(unsafe popen(command, "r"))
    var data = Data()
    var next = unsafe getc(output)
    while next != EOF {
        data.append(UInt8(next))
        next = unsafe getc(output)
    }
    try #require(unsafe pclose(output) == 0, "\(command)")
    return data
}

/// The JSON that a command answers, its keys in camel case.
func answer<Answer: Decodable>(_ command: String, as _: Answer.Type) throws -> Answer {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Answer.self, from: answer(command))
}

func makeVethPair() throws { try answer("ip link add left address 02:00:00:00:00:01 type veth peer name right") }
