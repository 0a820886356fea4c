import Foundation
import Lab
import LinuxSystem
import TestSupport
import Testing

@testable import Node

/// The admin endpoint.
extension DoctorTests {
    private static let token = "/run/token"
    private static let secret = "0123456789abcdef0123456789abcdef"

    private func asked(_ arguments: [String] = []) throws -> DoctorReport.Finding {
        try #require(try doctor(arguments)["admin"])
    }

    /// What the endpoint answers `host`, as an HTTP status; `000` where it answers nothing.
    private func status(from host: LabHost, at place: String) throws -> String {
        let curl = try host.start([
            "curl", "--silent", "--max-time", "2", "--output", "/dev/null", "--write-out", "%{http_code}",
            "--header", "Authorization: Bearer \(Self.secret)", "http://\(place)/metrics",
        ])
        try #require(curl.wait(upTo: .seconds(10)) != nil)
        return curl.standardOutput
    }

    @Test("an address of the endpoint that is taken, or not the host's, is told, before a node runs and beside it")
    func adminListen() throws {
        #expect(try asked().evidence == "127.0.0.1:10586 is free for a node")
        #expect(try asked(["--admin-listen", "none"]).evidence == "metrics and health are told nowhere, as asked for")
        let squatter = try lab.node.start(["python3", "-m", "http.server", "--bind", "127.0.0.1", "10586"])
        try eventually(within: .seconds(30)) { try lab.node.run(["ss", "-lnt"]).contains(":10586 ") }
        let elsewhere = ["--admin-listen", "127.0.0.1:10587"]
        try expect("admin", .warning, remedy: elsewhere.joined(separator: " ")) { elsewhere }
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        try eventually { try asked().severity == .warning }
        let beside = try asked()
        #expect(beside.evidence.hasPrefix("metrics and health are not told: 127.0.0.1:10586 cannot be"), "\(beside)")
        #expect(beside.remedy?.contains("name another port: --admin-listen 127.0.0.1:10587") == true, "\(beside)")
        squatter.terminate()
        try eventually(within: .seconds(30)) { try asked().severity == .ok }
        #expect(try asked().evidence == "the node that runs is asked at 127.0.0.1:10586")
        #expect(try asked(elsewhere).evidence.hasSuffix(":10586"), "where it is, not where this command line would be")
        node.stop()

        try shell("(umask 077; echo \(Self.secret) > \(Self.token))")
        let token = ["--admin-token-file", Self.token]
        try expect("admin", .warning, remedy: "bring its interface up", ["--admin-listen", "192.0.2.77:10586"] + token)
        {
            try lab.node.ip("addr add 192.0.2.77/32 dev lo")
            return ["--admin-listen", "192.0.2.77:10586"] + token
        }
        let bare = try lab.node.start([Binary.path.path, "doctor", "--admin-listen", "0.0.0.0:10586"])
        #expect(bare.wait(upTo: .seconds(10)) == .exited(64), "as run")
        #expect(bare.standardError.contains("add --admin-token-file"), "\(bare.standardError)")
    }

    @Test("a token file that is missing, open, another's, too short or unprintable is told")
    func adminToken() throws {
        let arguments = ["--admin-token-file", Self.token]
        func expectAfter(
            _ command: String, _ severity: Finding.Severity = .warning, remedy: String,
            capabilities: Capabilities? = [.netAdmin, .bpf], sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            try shell(command)
            try expect(
                "admin", severity, remedy: remedy, arguments, capabilities: capabilities,
                follow: {
                    try shell(remedy)
                    return arguments
                }, sourceLocation: sourceLocation)
        }
        let better = "openssl rand -hex 32 > \(Self.token)"
        try expectAfter("true", remedy: "(umask 077; \(better))")
        try expectAfter("chmod 640 \(Self.token)", remedy: "chmod 600 \(Self.token)")
        try expectAfter("echo short > \(Self.token)", remedy: better)
        try expectAfter("printf '%032d\\t%032d' 1 2 > \(Self.token)", remedy: better)
        // Root may read any file as long as it has CAP_DAC_OVERRIDE: the node of a container has not.
        try expectAfter("chown 65534 \(Self.token)", remedy: "chown root \(Self.token)")
        try expectAfter("chown 65534 \(Self.token)", .note, remedy: "chown 0 \(Self.token)", capabilities: nil)
        let other = try doctor(
            arguments, behind: ["setpriv", "--reuid=65534", "--clear-groups"], capabilities: nil)["admin"]
        #expect(other?.evidence.hasPrefix("not asked: open \(Self.token): ") == true, "\(String(describing: other))")
    }

    @Test("an endpoint whose answers the guard would refuse is told, and is answered once the remedy is followed")
    func adminAnswers() throws {
        try lab.layUplink("eth0", 1, metric: 100)
        try shell("ip route del default metric 0; (umask 077; echo \(Self.secret) > \(Self.token))")
        let token = ["--admin-token-file", Self.token]
        let place = "198.18.1.2:10586"
        let listen = ["--admin-listen", place] + token
        try expect(
            "admin", .warning, remedy: "FORWARDER_ALLOW=tcp/22,tcp/10586", listen + ["--allow", "tcp/22"],
            follow: { listen + ["--allow", "tcp/22,tcp/10586"] })
        try expect("admin", .warning, remedy: "FORWARDER_ALLOW=tcp/10586", listen) {
            listen + ["--allow", "tcp/10586"]
        }
        let everywhere = ["--admin-listen", "0.0.0.0:10586"] + token
        try expect("admin", .note, remedy: "FORWARDER_ADMIN_LISTEN=ADDRESS:10586", everywhere) {
            ["--admin-listen", "\(lab.nodeAddress.v4):10586"] + token
        }

        // It is as told.
        var node = try ForwarderProcess(Binary.path.path, on: lab, everywhere)
        try eventually { try status(from: lab.node, at: "127.0.0.1:10586") == "200" }
        #expect(try asked().severity == .note)
        #expect(try status(from: lab.internet, at: place) == "000", "by eth0")
        #expect(try status(from: lab.client, at: "\(lab.nodeAddress.v4):10586") == "200", "by the tailnet")
        node.stop()
        let allow = ["--allow", "tcp/10586"]
        node = try ForwarderProcess(Binary.path.path, on: lab, everywhere + allow)
        try eventually { try status(from: lab.internet, at: place) == "200" }
        #expect(try asked(allow).severity == .ok)
        node.stop()
        node = try ForwarderProcess(Binary.path.path, on: lab, everywhere + ["--guard", "observe"])
        let observed = try asked()
        #expect(
            observed.evidence.hasPrefix("the guard counts as leaked what 0.0.0.0:10586 answers by eth0"), "\(observed)")
        #expect(try status(from: lab.internet, at: place) == "200")
        withExtendedLifetime(node) {}
    }
}
