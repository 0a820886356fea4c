import Foundation
import LinuxNetwork
import Testing
import Yams

@testable import Node
@testable import forwarder

/// What `examples/` says is what the program knows.
@Suite("The examples") struct ExamplesTests {
    private var folder: URL { Compose.folder }

    @Test("seccomp.json is what `forwarder print seccomp` prints")
    func profile() throws {
        let file = try String(contentsOf: folder.appending(path: "seccomp.json"), encoding: .utf8)
        #expect(file == SeccompReport().text, "run: forwarder print seccomp > examples/seccomp.json")
    }

    @Test("post-rules.txt is what `forwarder print gluetun-rules` prints without a setting, and Gluetun is given it")
    func gluetunRules() throws {
        let file = try String(contentsOf: folder.appending(path: "post-rules.txt"), encoding: .utf8)
        let printed = try Binary.run(["print", "gluetun-rules"]).out
        #expect(file == printed, "run: forwarder print gluetun-rules > examples/post-rules.txt")
        let gluetun = try #require(try compose().services["gluetun"])
        #expect(gluetun.volumes?.contains("./post-rules.txt:/iptables/post-rules.txt:ro") == true)
    }

    private func compose() throws -> Compose { try Compose(file: "compose.yaml") }

    @Test("compose.yaml joins three services in one namespace, and confines ours as the tests of the sidecar do")
    func confinement() throws {
        let compose = try compose()
        #expect(Set(compose.services.keys) == ["gluetun", "tailscale", "forwarder"])
        for guest in ["tailscale", "forwarder"] {
            #expect(compose.services[guest]?.networkMode == "service:gluetun")
            #expect(compose.services[guest]?.dependsOn?["gluetun"]?.restart == true)
        }
        let own = try #require(compose.services["forwarder"])
        #expect(own.capDrop == ["ALL"] && own.capAdd == ["NET_ADMIN", "BPF"] && own.user == "0:0")
        #expect(own.devices == ["/dev/net/tun"] && own.tmpfs == ["/run/forwarder"])
        #expect(own.readOnly == nil, "with it Docker mounts resolv.conf read-only, and names are not split")
        #expect(own.securityOptions == ["seccomp=./seccomp.json", "no-new-privileges:true"])
        #expect(own.healthCheck?.test == ["CMD", "forwarder", "health", "--quiet", "--alive"])
    }

    @Test(
        "compose.yaml starts forwarder before tailscale, which waits until both others are well, and nobody in a circle"
    )
    func order() throws {
        let services = try compose().services
        let own = try #require(services["forwarder"]?.dependsOn)
        #expect(own.mapValues(\.condition) == ["gluetun": "service_started"])
        let tailscale = try #require(services["tailscale"]?.dependsOn)
        #expect(tailscale.mapValues(\.condition) == ["gluetun": "service_healthy", "forwarder": "service_healthy"])
        #expect(tailscale["forwarder"]?.restart == nil, "tailscaled outlives a forwarder that is made anew")
        #expect(services["gluetun"]?.dependsOn == nil)
        // Nor in one that Compose does not see: by whom Gluetun's health check has names looked up.
        let asked = try #require(services["gluetun"]?.environment?["HEALTH_TARGET_ADDRESSES"])
        let addresses = asked.split(separator: ",").map { Endpoint(String($0)) }
        #expect(!addresses.isEmpty && !addresses.contains(nil), "\(asked)")
    }

    @Test(
        "compose.prometheus.yaml adds one guest, who has no capability, no port, and nothing that it may write but its data"
    )
    func prometheus() throws {
        let recipe = try Compose(file: "compose.prometheus.yaml")
        #expect(Set(recipe.services.keys) == ["prometheus"])
        let added = try #require(recipe.services["prometheus"])
        #expect(added.networkMode == "service:gluetun" && added.dependsOn?["gluetun"]?.restart == true)
        #expect(added.capDrop == ["ALL"] && added.capAdd == nil && added.user == nil && added.readOnly == true)
        #expect(added.securityOptions == ["no-new-privileges:true"])
        // A guest has no ports to publish: Compose refuses them beside network_mode.
        #expect(added.ports == nil && added.command?.contains("--web.listen-address=127.0.0.1:9090") == true)
        let mounts = (added.volumes ?? []).map { $0.split(separator: ":").map(String.init) }
        #expect(mounts.filter { $0.last != "ro" } == [["prometheus-data", "/prometheus"]])
        for mount in mounts where mount[0].hasPrefix(".") {
            let source = folder.appending(path: mount[0]).standardized.path
            #expect(FileManager.default.isReadableFile(atPath: source), "\(source)")
        }
        let text = try String(contentsOf: folder.appending(path: "compose.prometheus.yaml"), encoding: .utf8)
        #expect(text.contains("COMPOSE_FILE=compose.yaml:compose.prometheus.yaml"), "as the files are called")
    }

    @Test("systemd takes the unit: what it names is there, and systemd knows every key")
    func unit() throws {
        let text = try String(contentsOf: folder.appending(path: "forwarder.service"), encoding: .utf8)
        #expect(text.contains("\nType=notify\n") && text.contains("\nWatchdogSec=20s\n"))
        #expect(text.contains("\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_BPF CAP_NET_BIND_SERVICE\n"))
        let known = Set(Setting.catalogue.map(\.variable))
        let named = text.matches(of: /(FORWARDER_[A-Z_]+)=/).map { String($0.output.1) }
        #expect(!named.isEmpty && known.isSuperset(of: named), "\(named)")
        // systemd-analyze looks whether the program is there.
        let place = "/tmp/forwarder-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        try text.replacing("/usr/local/bin/forwarder", with: Binary.path.path)
            .write(toFile: "\(place)/forwarder.service", atomically: false, encoding: .utf8)
        let verified = try Binary.shell(
            "command -v systemd-analyze >/dev/null || exit 0; systemd-analyze verify \(place)/forwarder.service 2>&1")
        #expect(verified.code == 0 && !verified.out.contains("forwarder.service:"), "\(verified.out)")
    }

    @Test("every variable that compose.yaml gives us, commented out or not, is a setting, and its value is one")
    func variables() throws {
        let text = try String(contentsOf: folder.appending(path: "compose.yaml"), encoding: .utf8)
        let known = Set(Setting.catalogue.map(\.variable))
        let named = text.matches(of: /(FORWARDER_[A-Z_]+):/).map { String($0.output.1) }
        #expect(named.count > 2 && known.isSuperset(of: named), "\(named)")
        let given = try compose().services["forwarder"]?.environment
        let told = try Binary.run(["down", "--control-socket", "relative"], environment: try #require(given))
        #expect(told.code == 64 && told.err.contains("--control-socket"), "only what we got wrong: \(told.err)")
    }
}

/// What the tests read of a compose file.
struct Compose: Decodable {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "examples")

    struct Service: Decodable {
        struct Dependency: Decodable {
            let condition: String
            let restart: Bool?
        }
        struct HealthCheck: Decodable { let test: [String] }
        let networkMode, user: String?
        let dependsOn: [String: Dependency]?
        let capDrop, capAdd, devices, securityOptions, tmpfs, volumes, ports, command: [String]?
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
            case user, devices, tmpfs, volumes, ports, command, environment
        }
    }

    let services: [String: Service]

    init(file: String) throws {
        let text = try String(contentsOf: Self.folder.appending(path: file), encoding: .utf8)
        self = try YAMLDecoder().decode(Self.self, from: text)
    }
}
