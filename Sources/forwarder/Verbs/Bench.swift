import ArgumentParser
import Node

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure beside the kernel's own routing and masquerade, in interleaved rounds.")

    @Argument(help: ArgumentHelp("Scenarios to measure (default: all).", valueName: "scenario"))
    var scenarios: [String] = []

    @Option(help: ArgumentHelp("Rounds per variant.", valueName: "count"))
    var rounds = 5

    @OptionGroup var answer: AnswerOptions

    func validate() throws {
        guard (1...1_000).contains(rounds) else { throw ValidationError("--rounds takes 1 to 1000, not \(rounds)") }
    }

    func run() throws {
        try measure(scenarios, rounds: rounds, answer.form)
    }
}

/// Measures the scenarios named, or all where none is.
private func measure(_ scenarios: [String], rounds: Int, _ form: Output.Form) throws {
    throw Refusal(couldNot: "measure", because: "this build has no lab in it", exitCode: .bug)
}
