import ArgumentParser
import Node

struct Health: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell whether the running node may be relied on: 0 if so, else 1.",
        discussion:
            "Ready is a node that forwards, is separate, counts what is capped, and whose VPN answers. A node that does not say so within some seconds is not."
    )

    @Flag(name: [.short, .long], help: "Say nothing on stdout; what is not well goes to stderr.")
    var quiet = false

    @Flag(help: "Ask only whether it lives: also one that waits for an edge does.")
    var alive = false

    @OptionGroup var options: SettingOptions<ReachingANode>

    @OptionGroup var answer: AnswerOptions

    func validate() throws {
        guard !quiet || !answer.json else { throw ValidationError("--quiet and --json do not go together") }
    }

    func run() throws {
        let report = try HealthReport(asking: options.settings())
        let isWell = alive ? report.alive : report.ready
        if !quiet {
            try Output.answer(report, in: answer.form)
        } else if !isWell {
            Output.say(report.reasons.map(\.because).joined(separator: "; "))
        }
        guard isWell else { throw AlreadyTold(.bad) }
    }
}

extension HealthReport: Answer {
    var text: String {
        let state = ready ? "ready" : alive ? "alive, and not ready" : "not alive"
        let facts = textTable([["state", state]] + checks.map { [$0.name.rawValue, $0.ok ? "ok" : "not ok"] })
        return facts
            + reasons.map { "because \($0.because)\n" + ($0.remedy.map { "    next: \($0)\n" } ?? "") }.joined()
    }
}
