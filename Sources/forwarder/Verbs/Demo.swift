import ArgumentParser
import Node

struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show it all at work between namespaces of its own: needs no account and no network.")

    @OptionGroup var answer: AnswerOptions

    func run() throws {
        try show(answer.form)
    }
}

/// Plays the demo, progress on stderr, the outcome as the answer; a bad outcome throws `BadAnswer` after it.
private func show(_ form: Output.Form) throws {
    throw Refusal(couldNot: "show the demo", because: "this build has no lab in it", exitCode: .bug)
}
