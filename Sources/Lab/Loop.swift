internal import Glibc
internal import LinuxSystem

/// A loop on a thread of its own, which ends with its owner.
///
/// The body gets a socket to poll beside its own: when that becomes readable, it returns.
final class Loop: Sendable {
    private let handle: Socket

    convenience init(named name: String, _ body: @escaping @Sendable (_ stop: Socket) -> Void) throws(LabFailure) {
        do throws(KernelError) {
            try self.init(begun: name, body)
        } catch {
            throw LabFailure(couldNot: "start the thread \(name)", because: error.description)
        }
    }

    /// The same, with the kernel's own words where it refuses.
    init(begun name: String, _ body: @escaping @Sendable (_ stop: Socket) -> Void) throws(KernelError) {
        let (ours, theirs) = try Socket.pair()
        _ = try Thread(named: name) {
            body(theirs)
            theirs.finish()
        }
        handle = ours
    }

    /// Returns when the body has: what it reported is then complete.
    func stop() {
        handle.finish()
        var nothing: UInt8 = 0
        while unsafe read(handle.descriptor.raw, &nothing, 1) < 0, errno == EINTR {}
    }

    deinit { stop() }
}

/// Waits until one of the sockets is ready for what is asked of it. The answers stand where the questions stood.
func awaitReadiness(_ questions: [(socket: Socket, events: CInt)], upTo milliseconds: CInt) -> [CInt] {
    var polls = questions.map { pollfd(fd: $0.socket.descriptor.raw, events: Int16($0.events), revents: 0) }
    _ = unsafe poll(&polls, nfds_t(polls.count), milliseconds)
    return polls.map { CInt($0.revents) }
}
