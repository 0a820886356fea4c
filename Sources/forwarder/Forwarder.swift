import ArgumentParser
import LinuxSystem
import Node

/// The words that `forwarder` understands, and how each of its endings is told.
struct Forwarder: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forwarder",
        abstract: "Carries the traffic of a Tailscale exit node into a VPN, and nowhere else.",
        version: "forwarder \(version)",
        subcommands: [Run.self, Down.self, Status.self, Flows.self, Demo.self, Bench.self, Print.self])

    /// Does what the arguments say. Every ending passes here: nothing else decides what is told, or the exit code.
    static func follow(_ arguments: [String]) -> Node.ExitCode {
        let form = Output.Form(askedBy: arguments)
        do {
            try refuseUnknownVerb(arguments)
            var verb = try parseAsRoot(arguments)
            try verb.run()
            return .yes
        } catch is BadAnswer {
            return .bad
        } catch let refusal as Refusal {
            return Output.refuse(refusal, in: form)
        } catch let error as KernelError {
            return Output.refuse(Refusal(couldNot: "do that", error), in: form)
        } catch where exitCode(for: error) == .success {
            // --help and --version end a command by throwing their text.
            return Output.tell(fullMessage(for: error))
        } catch where exitCode(for: error) == .validationFailure {
            let reason = message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
            let verb = arguments.first.flatMap { verbs.contains($0) ? " " + $0 : nil } ?? ""
            return Output.refuse(
                Refusal(
                    couldNot: "understand the command line", because: reason,
                    remedy: "forwarder\(verb) --help", exitCode: .usage), in: form)
        } catch {
            return Output.refuse(
                Refusal(couldNot: "do that", because: "of a bug: \(error)", exitCode: .bug), in: form)
        }
    }

    private static var verbs: [String] {
        configuration.subcommands.map { $0._commandName } + ["help"]
    }

    private static func refuseUnknownVerb(_ arguments: [String]) throws(Refusal) {
        guard let first = arguments.first, !first.hasPrefix("-"), !verbs.contains(first) else { return }
        throw Refusal(
            couldNot: "understand the command line", because: "no verb is called \"\(first)\"",
            remedy: nearest(to: first, among: verbs).map { "did you mean forwarder \($0)? `forwarder --help` lists all" },
            exitCode: .usage)
    }
}

/// Thrown after an answer that was given and is bad: exit code 1.
struct BadAnswer: Error {}
