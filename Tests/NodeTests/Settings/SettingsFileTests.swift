import Foundation
import Testing

@testable import Node

@Suite("A file of settings")
struct SettingsFileTests {
    @Test("Maps nest by dots, lists are joined by commas, scalars stay as written")
    func flattening() throws {
        let file = try SettingsFile(
            yaml: """
                # a comment
                flows: 0x10
                cap: {meter: uplink, zone: {name: UTC}}
                local: [10.0.0.0/8, "fd00::/8"]
                io: &kind poll
                log: *kind
                """, path: "f.yaml")
        #expect(file.entries.map(\.key) == ["flows", "cap.meter", "cap.zone.name", "local", "io", "log"])
        #expect(file.entries.map(\.text) == ["0x10", "uplink", "UTC", "10.0.0.0/8,fd00::/8", "poll", "poll"])
    }

    @Test("A file that says nothing sets nothing", arguments: ["", "\n", "# only a comment\n", "---\n", "{}"])
    func empty(yaml: String) throws {
        #expect(try SettingsFile(yaml: yaml, path: "f.yaml").entries.isEmpty)
    }

    @Test(
        "A file that is no map of settings is refused with its name and the reason",
        arguments: [
            ("- flows\n- io", "not a map"), ("flows", "not a map"), ("flows: 1\nflows: 2", "flows more than once"),
            ("flows: [", "not YAML"), ("a: 1\n\tb: 2", "not YAML"), ("flows: 1\n---\nflows: 2", "not YAML"),
            ("flows: \u{1}", "line 1, column 8"), ("io: poll\nlog: \"un", "line 2, column"),
            ("local: [[1, 2], 3]", "more than words"),
            // Each level stands for ten of the one before.
            (
                "a: &a {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, j: 0}\n"
                    + zip("abcdefgh", "bcdefghi").map { "\($1): &\($1) {a: *\($0), b: *\($0), c: *\($0), d: *\($0)}\n" }
                    .joined(), "more than 256 keys"
            ), ("? [a, b]\n: 1", "not a word"), ("flows: *none", "not YAML"),
        ])
    func refused(yaml: String, reason: String) throws {
        let refused = try #require(refusal { try SettingsFile(yaml: yaml, path: "f.yaml") })
        #expect(refused.exitCode == .usage)
        #expect(refused.couldNot.contains("f.yaml"))
        #expect(refused.because.contains(reason), "\(refused.because)")
    }

    @Test(
        "What is not YAML is told by line and column, without what it says",
        arguments: [
            "io: poll\nlog: \"secret", "io: poll\nlog: [secret", "io: poll\nlog: secret: secret", "\nsecret\u{1}",
        ])
    func notQuoted(yaml: String) throws {
        let refused = try #require(refusal { try SettingsFile(yaml: yaml, path: "f.yaml") })
        #expect(refused.because.contains("not YAML: line "), "\(refused.because)")
        #expect(!refused.because.contains("secret"), "\(refused.because)")
    }

    @Test("An empty value is refused by the setting that it should be of")
    func emptyValue() throws {
        let file = try SettingsFile(yaml: "vpn:", path: "f.yaml")
        #expect(refusal { try NodeSettings(Spec(file: file)) }?.because.contains("vpn in f.yaml") == true)
    }

    @Test("A file that is not there, or no file, is refused with its path")
    func missing() throws {
        for path in ["/nowhere/forwarder.yaml", "/tmp", "/dev/zero"] {
            let refused = try #require(refusal { try SettingsFile(path: path) })
            #expect(refused.exitCode == .unavailable)
            #expect(refused.because.contains(path))
        }
    }

    @Test("A file on disk is read whole, and refused where that is more than 64 KiB")
    func onDisk() throws {
        let path = "/tmp/forwarder-test-\(UUID().uuidString).yaml"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let setting = "\nflows: 2048\n"
        func write(octets: Int) throws {
            try (String(repeating: "#", count: octets - setting.utf8.count) + setting).write(
                toFile: path, atomically: false, encoding: .utf8)
        }
        for octets in [9_000, 65_536] {
            try write(octets: octets)
            #expect(try NodeSettings(Spec(file: SettingsFile(path: path))).flows == 2_048)
        }
        try write(octets: 65_537)
        let refused = try #require(refusal { try SettingsFile(path: path) })
        #expect(refused.exitCode == .usage)
        #expect(refused.because.contains("65536 octets"), "\(refused.because)")
    }

    @Test("A pipe is refused at once, though nobody writes to it")
    func pipe() throws {
        let path = "/tmp/forwarder-test-\(UUID().uuidString).yaml"
        try #require(unsafe mkfifo(path, 0o600) == 0)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let refused = try #require(refusal { try SettingsFile(path: path) })
        #expect(refused.because == "\(path) is no regular file")
    }
}
