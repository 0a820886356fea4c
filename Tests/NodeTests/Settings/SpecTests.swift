import Testing

@testable import Node

@Suite("Where a setting is written")
struct SpecTests {
    @Test("Nothing written leaves every default, and each passes its own check")
    func defaults() throws {
        #expect(try NodeSettings(Spec()) == NodeSettings())
        var read = NodeSettings()
        let saidOnly = ["uplink", "local", "allow", "vpn_endpoint", "vpn_fwmark", "dns_vpn", "dns_direct_names"]
        for setting in Setting.catalogue where !saidOnly.contains(setting.key) {
            try setting.assign(setting.byDefault, &read)
        }
        #expect(read == NodeSettings())
    }

    @Test("A flag wins over a variable, a variable over the file")
    func precedence() throws {
        let file = try SettingsFile(yaml: "flows: 2000\nvpn: file0\ntailnet: file1", path: "f.yaml")
        let settings = try NodeSettings(
            Spec(
                flags: ["flows": "4000"], environment: ["FORWARDER_FLOWS": "3000", "FORWARDER_VPN": "env0"],
                file: file))
        #expect(settings.flows == 4_000)
        #expect(settings.vpn == "env0")
        #expect(settings.tailnet == "file1")
    }

    @Test("A wrong value that a stronger place overrides is never meant, hence not refused")
    func overriddenNonsense() throws {
        let spec = try Spec(flags: ["flows": "4000"], environment: ["FORWARDER_FLOWS": "many"])
        #expect(try NodeSettings(spec).flows == 4_000)
    }

    @Test("Each setting's example is a value it takes, by each of its names", arguments: Setting.catalogue)
    func examples(setting: Setting) throws {
        let file = try SettingsFile(yaml: "\(setting.key): \(setting.example)", path: "f.yaml")
        let byFile = try NodeSettings(Spec(file: file))
        let byVariable = try NodeSettings(Spec(environment: [setting.variable: setting.example]))
        let byFlag = try NodeSettings(Spec(flags: [setting.flag: setting.example]))
        #expect(byFile == byVariable)
        #expect(byFlag == byVariable)
    }

    @Test("Names follow from the key", arguments: Setting.catalogue)
    func names(setting: Setting) {
        let words = setting.key.split { $0 == "_" || $0 == "." }
        #expect(setting.variable == "FORWARDER_" + words.joined(separator: "_").uppercased())
        #expect(setting.flag == words.joined(separator: "-"))
    }

    @Test("Every place's unknown name is refused with the nearest known one")
    func unknownNames() throws {
        let variable = try #require(refusal { try Spec(environment: ["FORWARDER_BINDING_PORT": "1"]) })
        #expect(variable.exitCode == .usage)
        #expect(variable.because.contains("FORWARDER_BINDING_PORT\" (in the environment)"))
        #expect(variable.remedy?.contains("FORWARDER_BINDING_PORTS") == true)

        let flag = try #require(refusal { try Spec(flags: ["flow": "1"]) })
        #expect(flag.remedy?.contains("flows?") == true)

        let file = try SettingsFile(yaml: "upling: eth0", path: "f.yaml")
        let key = try #require(refusal { try Spec(file: file) })
        #expect(key.because.contains("upling") && key.because.contains("f.yaml"))
        #expect(key.remedy?.contains("uplink?") == true)
    }

    @Test("A name that resembles none is refused without a guess", arguments: ["FORWARDER_QUOTA", "FORWARDER_X"])
    func strangeNames(name: String) throws {
        let refused = try #require(refusal { try Spec(environment: [name: "1"]) })
        #expect(refused.remedy == "`forwarder print settings` lists all")
    }

    @Test("Variables of other programs are not ours to judge")
    func foreignVariables() throws {
        #expect(try Spec(environment: ["PATH": "/bin", "FORWARD": "1", "forwarder_io": "x"]) == Spec())
    }
}

/// The refusal that the body throws, if it does.
func refusal<Answer>(_ body: () throws -> Answer) -> Refusal? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? Refusal
    }
}
