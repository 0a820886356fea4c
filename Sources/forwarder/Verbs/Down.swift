import ArgumentParser
import Node

struct Down: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give the host back: remove what a node, running or dead, has put in place.")

    @OptionGroup var options: SettingOptions<EndingANode>

    @OptionGroup var answer: AnswerOptions

    func run() throws {
        try Output.answer(DownReport(givingBack: options.settings()), in: answer.form)
    }
}

extension DownReport: Answer {
    var text: String {
        let stopped = self.stopped.map { ["stopped the node, process \($0)"] } ?? []
        let gaveBack = resolvConf.map { ["gave back \($0)"] } ?? []
        let settled = self.settled.map { ["wrote what was counted into the ledger in \($0)"] } ?? []
        let lines =
            stopped + gaveBack + removed.map { "removed \($0.program) from \($0.interface)" }
            + (routes + rules).map { "removed \($0)" } + settled
        return (lines.isEmpty ? ["nothing of forwarder's was there"] : lines).joined(separator: "\n") + "\n"
    }
}
