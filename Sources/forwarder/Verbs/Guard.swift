import ArgumentParser
import Node

struct Guard: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Close the host before anything else is there: guard the uplink, and leave it so.",
        discussion:
            "For the first step of whoever owns the network namespace. It ends at once; `run` takes over what it has put in place, `down` takes it away."
    )

    @OptionGroup var options: SettingOptions<EverySetting>

    @OptionGroup var answer: AnswerOptions

    func run() throws {
        try Output.answer(GuardReport(closing: options.settings()), in: answer.form)
    }
}

extension GuardReport: Answer {
    var text: String { (["guarded: \(interfaces.joined(separator: ", "))"] + steps).joined(separator: "\n") + "\n" }
}
