import ArgumentParser
import FoundationEssentials
import LinuxSystem
import Node

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Forward, in the foreground, until SIGTERM.",
        discussion:
            "An edge that is not there yet is waited for, one that comes back is taken up again. Until both are there nothing is forwarded, by nobody."
    )

    @OptionGroup var options: SettingOptions<EverySetting>

    @Option(help: ArgumentHelp("Give up after so long without both edges (default: never).", valueName: "seconds"))
    var wait: UInt32?

    @Flag(help: "Change nothing: tell what would be changed on the host, in order.")
    var dryRun = false

    @OptionGroup var answer: AnswerOptions

    func run() throws {
        if dryRun { return try Output.answer(PlanReport(options.settings()), in: answer.form) }
        let node = try RunningNode(
            Journal(writing: Output.log), under: Supervisor(ProcessInfo.processInfo.environment),
            abandon: Output.abandon
        ) { [options] () throws(Refusal) in try options.settings() }
        do throws(Refusal) {
            try node.run(patience: wait.map { .seconds($0) })
        } catch {
            guard node.settings.logFormat == .json, answer.form == .text else { throw error }
            Output.end(error, as: .json)
            throw AlreadyTold(error.exitCode)
        }
    }
}

extension PlanReport: Answer {
    var text: String {
        let steps = textTable(steps.map { [$0.holds ? "holds" : "to do", $0.step] })
        return steps + (waitingFor.isEmpty ? "" : "and would wait for \(waitingFor.joined(separator: ", "))\n")
    }
}
