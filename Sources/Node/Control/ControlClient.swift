import FoundationEssentials
import LinuxSystem
import SystemPackage

/// Asks a running node over its control socket.
package enum ControlClient {
    /// How long a node may take over its answer.
    private static let patience = Duration.seconds(5)
    /// A thousand flows are a third of this.
    private static let answerLimit = 1 << 20

    /// Why there is no answer.
    package enum Silence: Error {
        case refused(Refusal)
        /// A node is there, and took too long.
        case unanswered
    }

    /// - Throws: a refusal with exit code 69 if no node answers at `path`, or the node's own refusal.
    package static func ask<Answer: Report>(
        _ request: ControlRequest, at path: String, for _: Answer.Type = Answer.self
    ) throws(Refusal) -> Answer {
        do throws(Silence) {
            return try ask(request, at: path, within: patience)
        } catch {
            switch error {
            case .refused(let refusal): throw refusal
            case .unanswered:
                throw Refusal(
                    couldNot: "reach a running node",
                    because: "the node on \(path) is there but said nothing for \(patience.components.seconds) s",
                    remedy: "look at its log", exitCode: .unavailable)
            }
        }
    }

    /// - Parameter patience: for the whole of it, however the node divides its words.
    package static func ask<Answer: Report>(
        _ request: ControlRequest, at path: String, within patience: Duration, for _: Answer.Type = Answer.self
    ) throws(Silence) -> Answer {
        let line: [UInt8]
        do throws(Refusal) { line = try request.line } catch { throw .refused(error) }
        let json: Data
        do throws(KernelError) {
            json = Data(try exchange(line, at: path, until: .now + patience))
        } catch {
            guard error.errno != .resourceTemporarilyUnavailable else { throw .unanswered }
            throw .refused(refusal(of: error, at: path))
        }
        if let report = try? RefusalReport(json: json) { throw .refused(report.error) }
        do {
            return try Answer(json: json)
        } catch {
            throw .refused(
                Refusal(
                    couldNot: "understand the answer of \(path)",
                    because: "it is no answer of forwarder \(version); another version may run there",
                    remedy: "use the same version for both", exitCode: .unavailable))
        }
    }

    /// Whether a node listens at `path`, however busy it is. No doubt counts as yes.
    package static func isAnyoneThere(at path: String) -> Bool {
        do throws(KernelError) {
            try UnixSocket.connect(UnixSocket.nonBlocking(), to: path)
            return true
        } catch {
            return ![.noSuchFileOrDirectory, .connectionRefused, .notDirectory].contains(error.errno)
        }
    }

    /// - Throws: EAGAIN once it is late.
    private static func exchange(
        _ line: [UInt8], at path: String, until deadline: ContinuousClock.Instant
    ) throws(KernelError) -> [UInt8] {
        let socket = try UnixSocket.patient()
        func allowTime(_ call: StaticString) throws(KernelError) {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw KernelError(call, .resourceTemporarilyUnavailable, path) }
            try UnixSocket.limit(socket, to: left)
        }
        try allowTime("connect")
        try UnixSocket.connect(socket, to: path)
        var rest = line[...]
        while !rest.isEmpty {
            try allowTime("send")
            rest = rest.dropFirst(try UnixSocket.send(socket, rest))
        }
        var answer: [UInt8] = []
        while answer.count <= answerLimit {
            try allowTime("recv")
            let arrived = try UnixSocket.receive(socket, atMost: 65_536)
            guard !arrived.isEmpty else { break }
            answer += arrived
        }
        return answer
    }

    private static func refusal(of error: KernelError, at path: String) -> Refusal {
        let couldNot = "reach a running node"
        switch error.errno {
        case .noSuchFileOrDirectory, .connectionRefused, .notDirectory:
            return Refusal(nobodyAnswersOn: path)
        case .permissionDenied, .notPermitted:
            return Refusal(couldNot: couldNot, error, remedy: "ask as the user that runs it, for example with sudo")
        default:
            return Refusal(
                couldNot: couldNot, error, remedy: "start it again: \(nextCommand("run", controlSocket: path))")
        }
    }
}
