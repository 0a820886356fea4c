import ArgumentParser
import LinuxSystem
import Node

/// The words that `forwarder` understands, and how each of its endings is told.
struct Forwarder: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forwarder",
        abstract: "Carries the traffic of a Tailscale exit node into a VPN, and nowhere else.",
        version: "forwarder \(version)",
        subcommands: [
            Run.self, Guard.self, Down.self, Doctor.self, Status.self, Health.self, Flows.self, Clients.self,
            Quota.self,
            Monitor.self, Demo.self, Leaktest.self, Bench.self, Print.self,
        ])

    /// Does what the arguments say.
    static func follow(_ arguments: [String]) -> Node.ExitCode {
        do {
            try refuseUnknownVerb(arguments)
            var verb = try parseAsRoot(arguments)
            try verb.run()
            return .yes
        } catch {
            return tell(error, endingWhat: arguments)
        }
    }

    /// Every ending but a good one passes here: nothing else decides what is told and the exit code.
    private static func tell(_ error: any Error, endingWhat arguments: [String]) -> Node.ExitCode {
        let form = Output.Form(askedBy: arguments)
        switch error {
        case let told as AlreadyTold:
            return told.exitCode
        case let refusal as Refusal:
            return Output.refuse(refusal, in: form)
        case let error as KernelError:
            return Output.refuse(Refusal(couldNot: "go on", error), in: form)
        default:
            break
        }
        switch exitCode(for: error) {
        case .success:
            // --help and --version end a command by throwing their text.
            return Output.tell(fullMessage(for: error))
        case .validationFailure:
            let told = UsageSentence(message(for: error).split(whereSeparator: \.isNewline).joined(separator: " "))
            let help = "forwarder\(arguments.first.flatMap { verbs.contains($0) ? " " + $0 : nil } ?? "") --help"
            return Output.refuse(
                Refusal(
                    couldNot: "understand the command line", because: told.reason,
                    remedy: told.guess.map { "\($0) `\(help)` lists all" } ?? help, exitCode: .usage), in: form)
        default:
            return Output.refuse(Refusal(couldNot: "go on", because: "of a bug: \(error)", exitCode: .bug), in: form)
        }
    }

    private static var verbs: [String] {
        configuration.subcommands.map { $0._commandName } + ["help"]
    }

    private static func refuseUnknownVerb(_ arguments: [String]) throws(Refusal) {
        guard let first = arguments.first, !first.hasPrefix("-"), !verbs.contains(first) else { return }
        throw Refusal(
            couldNot: "understand the command line", because: "no verb is called \"\(first)\"",
            remedy: (nearest(to: first, among: verbs).map { "did you mean forwarder \($0)? " } ?? "")
                + "`forwarder --help` lists all",
            exitCode: .usage)
    }
}

/// Thrown where nothing is left to be told but the exit code.
struct AlreadyTold: Error {
    let exitCode: Node.ExitCode

    init(_ exitCode: Node.ExitCode) { self.exitCode = exitCode }
}
