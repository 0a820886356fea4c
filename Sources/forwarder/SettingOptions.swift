import ArgumentParser
import FoundationEssentials
import Node

/// Which settings a verb takes as flags. Environment and file may hold the others, too: one file serves all verbs.
protocol SettingChoice: Sendable {
    static var settings: [Setting] { get }
    /// Those that its help lists.
    static var told: [Setting] { get }
}

extension SettingChoice {
    static var told: [Setting] { settings }
}

enum EverySetting: SettingChoice {
    static var settings: [Setting] { Setting.catalogue }
}

/// Enough to ask a running node.
enum ReachingANode: SettingChoice {
    static var settings: [Setting] { [.controlSocket] }
}

/// Takes the flags that a node was started with, whole, and tells of the one that matters to its end.
enum EndingANode: SettingChoice {
    static var settings: [Setting] { Setting.catalogue }
    static var told: [Setting] { [.controlSocket] }
}

/// Takes the flags that a node is started with, whole, and tells of those that rules for a firewall name.
enum NamingEdges: SettingChoice {
    static var settings: [Setting] { Setting.catalogue }
    static var told: [Setting] { Setting.catalogue.filter { ["tailnet", "local"].contains($0.key) } }
}

/// Settings from the command line, the environment and the file that `--config` names.
struct SettingOptions<Choice: SettingChoice>: ParsableArguments {
    @OptionGroup(title: "Settings")
    var flags: SettingFlags<Choice>

    @Option(
        help: ArgumentHelp(
            "YAML file of settings; `forwarder print settings` lists their names there.", valueName: "file"))
    var config: String?

    func settings() throws(Refusal) -> NodeSettings {
        var file: SettingsFile?
        if let config { file = try SettingsFile(path: config) }
        return try NodeSettings(
            Spec(flags: flags.texts, environment: ProcessInfo.processInfo.environment, file: file))
    }
}

/// One option per setting of the catalogue.
///
/// ArgumentParser finds options by reflection and reads them by key; both are answered from the catalogue here, so
/// that there is no second list of flags and help, near misses and `--key=value` work as for any other option.
struct SettingFlags<Choice: SettingChoice>: ParsableArguments, CustomReflectable {
    /// What was written, by flag.
    private(set) var texts: [String: String] = [:]

    init() {}

    init(from decoder: any Decoder) throws {
        let options = try decoder.container(keyedBy: Flag.self)
        for setting in Choice.settings {
            texts[setting.flag] = try options.decodeIfPresent(String.self, forKey: Flag(stringValue: setting.flag))
        }
    }

    func encode(to encoder: any Encoder) throws {}

    var customMirror: Mirror {
        Mirror(
            self,
            children: Choice.settings.map { setting in
                let help = ArgumentHelp(
                    "\(setting.meaning) (default: \(setting.byDefault))",
                    valueName: setting.flag.split(separator: "-").last.map(String.init),
                    visibility: Choice.told.contains { $0.key == setting.key } ? .default : .hidden)
                return (setting.flag, Option<String?>(name: .customLong(setting.flag), help: help))
            })
    }

    private struct Flag: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
