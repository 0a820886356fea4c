import FoundationEssentials
import LinuxSystem
import SystemPackage

/// Asks a running node over its control socket.
package enum ControlClient {
    /// How long a node may take over one step of an answer.
    private static let patienceSeconds = 5
    /// A thousand flows are a third of this.
    private static let answerLimit = 1 << 20

    /// - Throws: a refusal with exit code 69 if no node answers at `path`, or the node's own refusal.
    package static func ask<Answer: Report>(
        _ request: ControlRequest, at path: String, for _: Answer.Type = Answer.self
    ) throws(Refusal) -> Answer {
        let line = try request.line
        let octets: [UInt8]
        do {
            octets = try exchange(line, at: path)
        } catch {
            throw refusal(of: error, at: path)
        }
        let json = Data(octets)
        if let report = try? RefusalReport(json: json) { throw report.error }
        do {
            return try Answer(json: json)
        } catch {
            throw Refusal(
                couldNot: "understand the answer of \(path)",
                because: "it is no answer of forwarder \(version); another version may run there",
                remedy: "use the same version for both", exitCode: .unavailable)
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

    private static func exchange(_ line: [UInt8], at path: String) throws(KernelError) -> [UInt8] {
        let socket = try UnixSocket.patient(seconds: patienceSeconds)
        try UnixSocket.connect(socket, to: path)
        var rest = line[...]
        while !rest.isEmpty { rest = rest.dropFirst(try UnixSocket.send(socket, rest)) }
        var answer: [UInt8] = []
        while answer.count <= answerLimit {
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
        case .resourceTemporarilyUnavailable:
            return Refusal(
                couldNot: couldNot, because: "the node on \(path) is there but said nothing for \(patienceSeconds) s",
                remedy: "look at its log", exitCode: .unavailable)
        default:
            return Refusal(
                couldNot: couldNot, error, remedy: "start it again: \(nextCommand("run", controlSocket: path))")
        }
    }
}
