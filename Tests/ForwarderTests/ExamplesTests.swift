import Foundation
import Testing
import Yams

@testable import Node
@testable import forwarder

/// What `examples/` says is what the program knows.
@Suite("The examples") struct ExamplesTests {
    private let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "examples")

    @Test("seccomp.json is what `forwarder print seccomp` prints")
    func profile() throws {
        let file = try String(contentsOf: folder.appending(path: "seccomp.json"), encoding: .utf8)
        #expect(file == SeccompReport().text, "run: forwarder print seccomp > examples/seccomp.json")
    }

    @Test("compose.yaml joins three services in one namespace, and confines ours as the tests of the sidecar do")
    func compose() throws {
        let text = try String(contentsOf: folder.appending(path: "compose.yaml"), encoding: .utf8)
        let compose = try YAMLDecoder().decode(Compose.self, from: text)
        #expect(Set(compose.services.keys) == ["gluetun", "tailscale", "forwarder"])
        for guest in ["tailscale", "forwarder"] {
            #expect(compose.services[guest]?.networkMode == "service:gluetun")
            #expect(compose.services[guest]?.dependsOn?["gluetun"]?.restart == true)
        }
        let own = try #require(compose.services["forwarder"])
        #expect(own.capDrop == ["ALL"] && own.capAdd == ["NET_ADMIN", "BPF"] && own.user == "0:0")
        #expect(own.devices == ["/dev/net/tun"] && own.tmpfs == ["/run/forwarder"] && own.readOnly == true)
        #expect(own.securityOptions == ["seccomp=./seccomp.json", "no-new-privileges:true"])
        #expect(own.healthCheck?.test == ["CMD", "forwarder", "status", "--json"])
    }

    @Test("every variable that compose.yaml gives us, commented out or not, is a setting, and its value is one")
    func variables() throws {
        let text = try String(contentsOf: folder.appending(path: "compose.yaml"), encoding: .utf8)
        let known = Set(Setting.catalogue.map(\.variable))
        let named = text.matches(of: /(FORWARDER_[A-Z_]+):/).map { String($0.output.1) }
        #expect(named.count > 2 && known.isSuperset(of: named), "\(named)")
        let given = try YAMLDecoder().decode(Compose.self, from: text).services["forwarder"]?.environment
        let told = try Binary.run(["down", "--control-socket", "relative"], environment: try #require(given))
        #expect(told.code == 64 && told.err.contains("--control-socket"), "only what we got wrong: \(told.err)")
    }
}

/// What the tests read of a compose file.
private struct Compose: Decodable {
    struct Service: Decodable {
        struct Dependency: Decodable { let restart: Bool? }
        struct HealthCheck: Decodable { let test: [String] }
        let networkMode, user: String?
        let dependsOn: [String: Dependency]?
        let capDrop, capAdd, devices, securityOptions, tmpfs: [String]?
        let readOnly: Bool?
        let environment: [String: String]?
        let healthCheck: HealthCheck?

        private enum CodingKeys: String, CodingKey {
            case networkMode = "network_mode"
            case dependsOn = "depends_on"
            case capDrop = "cap_drop"
            case capAdd = "cap_add"
            case securityOptions = "security_opt"
            case readOnly = "read_only"
            case healthCheck = "healthcheck"
            case user, devices, tmpfs, environment
        }
    }

    let services: [String: Service]
}
