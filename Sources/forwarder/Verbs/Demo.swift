import ArgumentParser
import Lab
import Node

struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show it all at work between namespaces of its own: needs no account and no network.")

    @Option(help: ArgumentHelp("How much to carry between plain edges, and a tenth of it through WireGuard."))
    var bytes = 1_000_000_000

    @OptionGroup var answer: AnswerOptions

    func validate() throws {
        let range = 1_000_000...1_000_000_000_000
        guard range.contains(bytes) else {
            throw ValidationError("--bytes takes \(range.lowerBound) to \(range.upperBound), not \(bytes)")
        }
    }

    func run() throws {
        Build.warnIfSlow()
        let report = try inLab(couldNot: "show the demo") { () throws(LabFailure) in try playDemo(bytes: bytes) }
        try Output.answer(report, in: answer.form)
        if !report.ok { throw AlreadyTold(.bad) }
    }
}
