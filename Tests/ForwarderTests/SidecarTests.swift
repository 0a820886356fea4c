import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node
@testable import forwarder

/// The program in a container that `examples/compose.yaml` describes: started by runc with its two capabilities, its one
/// device and its profile, in the network of a lab's node. Its root is read-only, but for resolv.conf: Docker has no such
/// root, so the example's is writable; what works here writes nothing there.
@Suite(.serialized, .containersRun) struct SidecarTests {
    /// What the container may do with io_uring.
    enum Profile: String, CaseIterable {
        case ours, dockers

        /// As a person gets it: what is printed, without the rule for io_uring where Docker's default is meant.
        func read() throws -> SeccompProfile {
            let printed = try Binary.run(["print", "seccomp"]).out
            var profile = try JSONDecoder().decode(SeccompProfile.self, from: Data(printed.utf8))
            if self == .dockers { profile.syscalls.removeAll { $0.names.contains("io_uring_setup") } }
            return profile
        }
    }

    private let lab: PlainLab

    init() throws { lab = try PlainLab() }

    private func container(
        _ arguments: [String], _ profile: Profile = .ours, capabilities: [String] = ["CAP_NET_ADMIN", "CAP_BPF"]
    ) throws -> Container {
        try Container(
            [Binary.path.path] + arguments, on: lab.node, capabilities: capabilities, seccomp: profile.read())
    }

    /// What a program beside the first says, whatever its end.
    private func output(_ arguments: [String], in container: Container) throws -> String {
        let child = try container.start(arguments)
        try #require(child.wait(upTo: .seconds(10)) != nil)
        return child.standardOutput + child.standardError
    }

    @Test("it forwards with the profile and with Docker's own, and says by what", arguments: Profile.allCases)
    func forwards(profile: Profile) throws {
        let node = try container(["run"], profile)
        try eventually { node.child.standardError.contains("forwarding") }
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            #expect(try lab.client.ping(address) == 3, "\(address)")
            let client = EchoClient(on: lab.client, to: address)
            #expect(try client.streamReturns(pieces: [1, 1447, 65_537]))
            #expect(try client.datagramsSpoiled(sizes: [1, 1200, 9000]) == [])
            for direction in Transfer.Direction.allCases {
                let transfer = try Transfer(
                    direction, bytes: 5_000_001, client: lab.client, server: lab.internet, at: address)
                #expect(transfer.isIntact && transfer.bytes == 5_000_001)
            }
        }
        withExtendedLifetime(echo) {}

        // The health check of the example.
        let health = try node.start([Binary.path.path, "health", "--quiet", "--alive"])
        #expect(health.wait(upTo: .seconds(10)) == .exited(0), "\(health.standardError)")
        let status = try node.start([Binary.path.path, "status", "--json"])
        #expect(status.wait(upTo: .seconds(10)) == .exited(0))
        let told = status.standardOutput
        switch profile {
        case .ours: #expect(told.contains(#""io":"uring","io_reason":"the kernel grants it""#), "\(told)")
        case .dockers: #expect(told.contains(#""io":"poll","io_reason":"io_uring refused: "#), "\(told)")
        }
        node.child.signal(SIGTERM)
        #expect(node.child.wait(upTo: .seconds(10)) == .exited(0))
    }

    @Test("where Docker's network has no IPv6, IPv4 is forwarded")
    func noIPv6() throws {
        try lab.node.set("net/ipv6/conf/all/disable_ipv6", to: "1")
        let node = try container(["run"])
        try eventually { node.child.standardError.contains("forwarding") }
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
    }

    @Test("it is confined: two capabilities for ever, a filter, a root it cannot write, one device more than any")
    func confined() throws {
        let node = try container(["run"])
        try eventually { node.child.standardError.contains("forwarding") }
        let state = try output(["cat", "/proc/1/status"], in: node)
        for set in ["CapPrm", "CapEff", "CapBnd"] { #expect(state.contains("\(set):\t0000008000001000"), "\(state)") }
        #expect(state.contains("NoNewPrivs:\t1") && state.contains("Seccomp:\t2"), "\(state)")
        #expect(try output(["touch", "/etc/forwarder"], in: node).contains("Read-only file system"))
        #expect(try output(["touch", "/run/forwarder/file"], in: node) == "")
        #expect(try output(["cat", "/etc/resolv.conf"], in: node).contains("\nnameserver 127.0.0.51\n"), "writable")
        #expect(try output(["unshare", "--net", "true"], in: node).contains("Operation not permitted"))
        let devices = try output(["ls", "/dev", "/dev/net"], in: node).split(whereSeparator: \.isWhitespace)
        #expect(Set(devices).isSuperset(of: ["tun", "null"]) && !devices.contains { $0.hasPrefix("vd") })
        #expect(try output(["dd", "if=/dev/net/tun", "count=0", "status=none"], in: node) == "", "allowed")
    }

    @Test("under Docker's own profile doctor names what refuses io_uring, and with ours it is granted")
    func doctor() throws {
        func ioUring(_ profile: Profile) throws -> DoctorReport.Finding? {
            let doctor = try container(["doctor", "--json"], profile)
            try #require(doctor.child.wait(upTo: .seconds(10)) != nil)
            return try DoctorReport(json: Data(doctor.child.standardOutput.utf8)).findings
                .first { $0.id == "io_uring" }
        }
        let ill = try ioUring(.dockers)
        #expect(ill?.severity == .note)
        #expect(ill?.remedy?.contains("security_opt: [seccomp=") == true, "\(String(describing: ill))")
        #expect(try ioUring(.ours)?.severity == .ok)
    }

    @Test("stopped, it leaves exit traffic dropped; down, in a container of its own, gives the host back")
    func down() throws {
        try lab.enableKernelRouting()
        let node = try container(["run"], .dockers)
        try eventually { node.child.standardError.contains("forwarding") }
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(node.child.terminate(grace: .seconds(10)) == .exited(0))
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)
        let down = try container(["down", "--json"], .dockers)
        #expect(down.child.wait(upTo: .seconds(10)) == .exited(0))
        #expect(down.child.standardOutput.contains("forwarder:tailnet_ingress"), "\(down.child.standardOutput)")
        #expect(!(try lab.node.run(["tc", "qdisc"]).contains("clsact")))
        #expect(!(try lab.node.run(["ip", "rule"]).contains("tailscale0")))
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3, "the kernel forwards again")
    }

    @Test("while it waits it is healthy and forwards nothing, and without a capability it names the line to add")
    func waitsAndRefuses() throws {
        try lab.node.ip("link set tun0 down")
        let node = try container(["run"])
        try eventually { node.child.standardError.contains("waiting for tun0") }
        let status = try node.start([Binary.path.path, "status", "--json"])
        #expect(status.wait(upTo: .seconds(10)) == .exited(0))
        #expect(status.standardOutput.contains(#""state":"waiting""#), "\(status.standardOutput)")
        #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 0)
        node.child.signal(SIGTERM)
        #expect(node.child.wait(upTo: .seconds(10)) == .exited(0))

        let refused = try container(["run"], capabilities: ["CAP_NET_ADMIN"])
        #expect(refused.child.wait(upTo: .seconds(10)) == .exited(77))
        #expect(refused.child.standardError.contains("cap_add: [BPF]"), "\(refused.child.standardError)")
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips with a sentence where the lab cannot be built or has no runc.
    fileprivate static var containersRun: Self {
        let missing = Prerequisite.missingForContainers
        return .enabled(if: missing.isEmpty, "a container in the lab needs \(missing.map(\.sentence))")
    }
}
