import Foundation
import Testing

@testable import Node

@Suite("The command line")
struct ForwarderTests {
    /// A socket that nobody has.
    private static let nobody = "/tmp/forwarder-test-nobody/control.sock"

    @Test(
        "A command line that makes no sense is refused with 64, and says what to type next",
        arguments: [
            (["runn"], "did you mean forwarder run?"), (["statsu"], "did you mean forwarder status?"),
            (["start"], "next: `forwarder --help` lists all"),
            (["run", "--binding-port", "1"], "--binding-ports"), (["run", "--flows"], "forwarder run --help"),
            (["run", "--flows", "12"], "--flows 65536"), (["run", "--flows=12"], "--flows 65536"),
            (["run", "--tailnet", "tun0"], "--tailnet tailscale0 --vpn tun0"),
            (["run", "--cap", "35"], "--cap 35GB"), (["run", "--cap-zone", "Berlin"], "--cap-zone Europe/Berlin"),
            (["run", "--cap", "1GB", "--cap-stages", "2GB stop"], "--cap 35GB --cap-stages '80% warn, "),
            (["run", "--wait", "-1"], "forwarder run --help"), (["run", "--wait", "soon"], "forwarder run --help"),
            (["run", "extra"], "forwarder run --help"), (["status", "--flows", "4096"], "forwarder status --help"),
            (["flows", "--top", "0"], "forwarder flows --help"), (["flows", "--top"], "forwarder flows --help"),
            (["bench", "--rounds", "0"], "forwarder bench --help"), (["print"], "forwarder print --help"),
            (["print", "flags"], "forwarder print --help"), (["--jsn"], "forwarder --help"),
        ])
    func usage(arguments: [String], remedy: String) throws {
        let ending = try Binary.run(arguments)
        #expect(ending.code == 64)
        #expect(ending.out.isEmpty)
        #expect(ending.err.hasPrefix("forwarder: could not "))
        #expect(ending.err.contains("\nbecause ") && ending.err.contains("\nnext: "))
        #expect(ending.err.contains(remedy), "\(ending.err)")
    }

    @Test(
        "ArgumentParser's sentences are said as ours are",
        arguments: [
            (
                ["run", "--flow", "9"], "no option is called --flow",
                "did you mean --flows? `forwarder run --help` lists all"
            ),
            (["run", "--foo"], "no option is called --foo", "forwarder run --help"),
            (["run", "-x"], "no option is called -x", "forwarder run --help"),
            (["run", "--flows"], "--flows <flows> has no value", "forwarder run --help"),
            (["run", "--wait", "it's"], "\"it's\" is no value of --wait <seconds>", "forwarder run --help"),
            (["run", "a"], "no argument \"a\" is expected", "forwarder run --help"),
            (["run", "a", "b"], "no arguments \"a\", \"b\" are expected", "forwarder run --help"),
            (["print"], "<subject> is missing", "forwarder print --help"),
            (
                ["print", "x"],
                "\"x\" is no value of <subject>, which takes settings, probes, metrics, seccomp or gluetun-rules",
                "forwarder print --help"
            ),
            (["status", "--json=1"], "--json takes no value, and \"1\" is given", "forwarder status --help"),
            (["flows", "--top", "0"], "--top takes 1 to 1000, not 0", "forwarder flows --help"),
        ])
    func sentences(arguments: [String], reason: String, remedy: String) throws {
        #expect(
            try Binary.run(arguments).err == """
                forwarder: could not understand the command line
                because \(reason)
                next: \(remedy)

                """)
    }

    @Test(
        "With --json among the arguments every failure is exactly one object on stdout",
        arguments: [
            (["status", "--json"], 69), (["flows", "--json", "--reveal", "--top", "5"], 69),
            (["statsu", "--json"], 64),
            (["flows", "--json", "--top", "x"], 64), (["--json"], 64), (["print", "--json", "flags"], 64),
            (["bench", "--json", "--rounds", "0"], 64), (["status", "--nonsense", "--json"], 64),
        ])
    func refusalsAsJSON(arguments: [String], code: Int) throws {
        let ending = try Binary.run(arguments, environment: ["FORWARDER_CONTROL_SOCKET": Self.nobody])
        #expect(Int(ending.code) == code)
        let object = try #require(ending.object)
        #expect(object["schema"] as? String == "forwarder.error/1")
        let error = try #require(object["error"] as? [String: Any])
        #expect(error["could_not"] is String && error["because"] is String && error["remedy"] is String)
        #expect(error["exit_code"] as? Int == code)
    }

    @Test("Nobody running is 69, and says how to start")
    func nobodyRunning() throws {
        for verb in ["status", "flows"] {
            let ending = try Binary.run([verb, "--control-socket", Self.nobody])
            #expect(ending.code == 69)
            #expect(ending.err.contains("nobody answers on \(Self.nobody)"))
            #expect(ending.err.contains("next: start one: forwarder run --control-socket \(Self.nobody)\n"))
        }
    }

    @Test("A variable that no setting has is refused by every verb that reads settings")
    func unknownVariable() throws {
        for verb in ["run", "status", "flows", "down"] {
            let ending = try Binary.run([verb], environment: ["FORWARDER_FLOW": "1"])
            #expect(ending.code == 64)
            #expect(ending.err.contains("did you mean FORWARDER_FLOWS?"))
        }
    }

    @Test("A file that is not there is 69, a key that no setting has is 64")
    func files() throws {
        #expect(try Binary.run(["run", "--config", "/nowhere.yaml"]).code == 69)
        let path = "/tmp/forwarder-test-\(UUID().uuidString).yaml"
        try "flow: 1\n".write(toFile: path, atomically: false, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let ending = try Binary.run(["run", "--config", path])
        #expect(ending.code == 64)
        #expect(ending.err.contains("\"flow\" (in \(path))"))
    }

    @Test("Help and version are answers", arguments: [["--help"], ["-h"], ["--version"], [], ["help", "run"]])
    func help(arguments: [String]) throws {
        let ending = try Binary.run(arguments)
        #expect(ending.code == 0)
        #expect(!ending.out.isEmpty && ending.err.isEmpty)
    }

    @Test("The help of run lists every setting of the catalogue")
    func runHelp() throws {
        let help = try Binary.run(["run", "--help"]).out
        let words = help.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for setting in Setting.catalogue {
            #expect(help.contains("\n  --\(setting.flag) <"))
            #expect(words.contains("\(setting.meaning) (default: \(setting.byDefault))"))
        }
    }

    @Test("The help of the other verbs lists the one setting that matters to them, and down takes the flags of run")
    func otherHelp() throws {
        for verb in ["down", "status", "flows"] {
            let help = try Binary.run([verb, "--help"]).out
            for setting in Setting.catalogue {
                #expect(help.contains("--\(setting.flag)") == (setting.key == "control_socket"), "\(verb)")
            }
        }
        let down = try Binary.run(["down", "--tailnet", "ts0", "--vpn", "wg0", "--flows", "1"])
        #expect(down.code == 64 && down.err.contains("--flows 65536"), "\(down.err)")
    }

    @Test("A reader that goes away is no failure, a full disk and a closed stdout are")
    func stdout() throws {
        #expect(try Binary.shell("$forwarder print settings | true; echo ${PIPESTATUS[0]}").out == "0\n")
        let gone = "exec 3> >(:); sleep 0.2; $forwarder print settings >&3; echo $?"
        #expect(try Binary.shell(gone).out == "0\n")
        let full = try Binary.shell("$forwarder print settings > /dev/full")
        #expect(full.code == 69)
        #expect(full.err.contains("No space left on device"))
        #expect(try Binary.shell("$forwarder print settings >&-").code == 69)
    }
}
