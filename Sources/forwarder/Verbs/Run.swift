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
        let settings = try options.settings()
        var logger = Logger(label: "forwarder") { _ in LogLines() }
        logger.logLevel = settings.log
        try RunningNode(settings, logger).run(patience: wait.map { .seconds($0) })
    }
}
