import ArgumentParser
import Lab
import Node

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure beside the kernel's own routing and masquerade, in interleaved rounds.",
        discussion: """
            Each round measures every variant once, and begins with another one. A ratio is the median of the ratios \
            within each round. Scenarios: \(Scenario.all.map(\.name).joined(separator: ", ")).
            """)

    @Argument(help: ArgumentHelp("Scenarios to measure (default: all).", valueName: "scenario"))
    var scenarios: [String] = []

    @Option(help: ArgumentHelp("Rounds per variant.", valueName: "count"))
    var rounds = 5

    @Option(help: ArgumentHelp("Length of each measurement.", valueName: "seconds"))
    var seconds = 5

    @OptionGroup var answer: AnswerOptions

    func validate() throws {
        guard (1...1_000).contains(rounds) else { throw ValidationError("--rounds takes 1 to 1000, not \(rounds)") }
        guard (1...600).contains(seconds) else { throw ValidationError("--seconds takes 1 to 600, not \(seconds)") }
    }

    func run() throws {
        let wanted = try Scenario.named(scenarios)
        Build.warnIfSlow()
        let measurements = try inLab(couldNot: "measure") { () throws(LabFailure) in
            try wanted.map { scenario throws(LabFailure) in
                try Measurement(of: scenario, rounds: rounds, seconds: seconds, told: Output.say)
            }
        }
        try Output.answer(BenchReport(measurements), in: answer.form)
    }
}

extension Scenario {
    /// Those of these names, or all where none is given.
    static func named(_ names: [String]) throws(Refusal) -> [Scenario] {
        if names.isEmpty { return all }
        return try names.map { name throws(Refusal) in
            if let scenario = all.first(where: { $0.name == name }) { return scenario }
            let known = all.map(\.name)
            throw Refusal(
                couldNot: "measure \"\(name)\"", because: "no scenario is called so",
                remedy: nearest(to: name, among: known).map { "did you mean forwarder bench \($0)?" }
                    ?? "choose of \(known.joined(separator: ", "))",
                exitCode: .usage)
        }
    }
}
