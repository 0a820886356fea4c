import ArgumentParser
import Logging
import Node

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Forward, in the foreground, until SIGTERM.",
        discussion:
            "An edge that is not there yet is waited for. Until both are there it forwards nothing, and keeps nobody else from it."
    )

    @OptionGroup var options: SettingOptions<EverySetting>

    @Option(help: ArgumentHelp("Give up after so long without both edges (default: never).", valueName: "seconds"))
    var wait: UInt32?

    func run() throws {
        var logger = Logger(label: "forwarder") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = try options.settings().log
        let node = try RunningNode(logger) { [options] () throws(Refusal) in try options.settings() }
        try node.run(patience: wait.map { .seconds($0) })
    }
}
