import ArgumentParser
import Node

struct Down: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give the host back: remove what a node, running or dead, has put in place.")

    @OptionGroup var options: SettingOptions<EverySetting>

    @OptionGroup var answer: AnswerOptions

    func run() throws {
        try giveBack(options.settings(), answer.form)
    }
}

/// Removes and tells what was removed.
private func giveBack(_ settings: NodeSettings, _ form: Output.Form) throws(Refusal) {
    throw Refusal(couldNot: "give the host back", because: "this build has no node in it", exitCode: .bug)
}
