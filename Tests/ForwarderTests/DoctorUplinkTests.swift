import Foundation
import Lab
import LinuxSystem
import TestSupport
import Testing

@testable import Node

/// The uplinks, and what stands on them.
extension DoctorTests {
    @Test("an uplink without its guard is told, and a guard that only observes")
    func uplinkGuard() throws {
        try shell("ip route del default; ip -6 route del default")
        try lab.layUplink("eth0", 1, metric: 100)
        try shell("ip route del default; ip -6 route del default")
        try expect("guard", .warning, remedy: "FORWARDER_UPLINK=eth0") { ["--uplink", "eth0"] }
        try shell("ip route add default via 198.18.1.1 metric 100")
        try shell("tc qdisc add dev eth0 ingress")
        try expect("guard", .error, command: "tc qdisc delete dev eth0 ingress")
        #expect(try doctor()["guard"]?.evidence == "a node will put it on eth0")
        try shell("\(Binary.path.path) guard")
        #expect(try doctor()["guard"]?.evidence == "it stands on eth0")
        try shell("tc filter del dev eth0 egress")
        try expect("guard", .warning, remedy: "forwarder guard") {
            try shell("\(Binary.path.path) guard")
            return nil
        }
        // It matches all that there is, and lets it pass.
        try shell(
            "tc filter add dev eth0 egress protocol all prio 1 handle 7 bpf bytecode '1,6 0 0 4294967295' flowid 1:1")
        try expect("filters", .warning, command: "tc filter del dev eth0 egress prio 1 handle 0x7 bpf")
        #expect(try doctor()["guard"]?.evidence == "it stands on eth0")
        for number in 2...5 { try lab.layUplink("eth\(number)", number, metric: 100 + number) }
        try shell("\(Binary.path.path) guard")
        try expect("guard", .warning, remedy: "FORWARDER_UPLINK=eth0") { ["--uplink", "eth0"] }
        try expect("uplink", .warning, remedy: "leave --uplink out", ["--uplink", "eth0"]) {
            for number in 2...5 { try lab.node.ip("link del eth\(number)") }
            return ["--uplink", "eth0"]
        }
        try expect("guard", .warning, remedy: "FORWARDER_GUARD=on", ["--guard", "observe"]) { ["--guard", "on"] }
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--guard", "observe"])
        #expect(try doctor()["guard"]?.evidence.contains("has let pass") == true)
        withExtendedLifetime(node) {}
    }

    @Test("default routes that are missing, several, or without a next hop are told, and an uplink that is not there")
    func uplink() throws {
        try expect("uplink", .warning, remedy: "leave --uplink out", ["--uplink", "eth7"])
        try lab.node.ip("route add default via 10.64.0.9 metric 100")
        try expect("uplink", .note, command: "ip route delete default dev tun0 metric 0")
        try lab.node.ip("route replace default dev tun0 metric 100")
        try expect("uplink", .note, remedy: "ip route replace default via GATEWAY dev tun0 metric 100") {
            try shell("ip route replace default via 10.64.0.1 dev tun0 metric 100")
            return nil
        }
        try shell("ip route append default via 10.64.0.9 dev tun0 metric 100")
        #expect(try doctor()["uplink"]?.evidence.hasPrefix("of several of one metric the first decides") == true)
        try expect("uplink", .note, command: "ip route delete default dev tun0 metric 100")
        try shell("ip route del default metric 100; ip -6 route del default")
        try expect("uplink", .warning, remedy: "ip route add default via GATEWAY dev ") {
            try shell("ip route add default via 10.64.0.1 dev tun0")
            return nil
        }
    }

    @Test("a default route with several next hops is told, in both families")
    func multipath() throws {
        try lab.node.ip(
            """
            link add eth9 type veth peer name eth8
            link set eth8 up
            link set eth9 up
            addr add 192.0.2.2/24 dev eth9
            addr add 2001:db8:9::2/64 dev eth9
            route replace default nexthop via 10.64.0.1 dev tun0 nexthop via 192.0.2.1 dev eth9
            """)
        try expect("uplink", .note, remedy: "ip route replace default via GATEWAY dev tun0") {
            try shell("ip route replace default via 10.64.0.1 dev tun0")
            return nil
        }
        try shell(
            "ip -6 route replace default metric 1024 nexthop via fd00:64::1 dev tun0 nexthop via 2001:db8:9::1 dev eth9"
        )
        try expect(
            "uplink", .note, remedy: "ip -6 route replace default via GATEWAY dev eth9 metric 1024",
            ["--uplink", "eth9"]
        ) {
            try shell("ip -6 route replace default via 2001:db8:9::1 dev eth9 metric 1024")
            return ["--uplink", "eth9"]
        }
    }

    @Test("programs at an uplink that is no edge are notes, but before the guard warnings; who may not ask is told so")
    func earlyProgramsOfTunnels() throws {
        try lab.node.ip("link add eth9 type veth peer name eth8\nlink set eth9 up")
        let program = try lab.node.namespace.run { () throws(KernelError) in
            try ForeignProgram(at: "eth9", .tcxIngress)
        }
        let remedy = try #require(try doctor(["--uplink", "eth9"])["filters"]?.remedy)
        try expect(
            "filters", .note, command: String(remedy.trimmingPrefix("if it is not meant for that: ")),
            ["--uplink", "eth9"])
        #expect(try doctor(["--uplink", "eth9"])["filters"]?.severity == .ok)
        let early = try lab.node.namespace.run { () throws(KernelError) in
            try ForeignProgram(at: "eth9", .tcxEgress)
        }
        let found = try #require(try doctor(["--uplink", "eth9"])["filters"])
        #expect(found.evidence.contains("before the guard, which may let pass"), "\(found)")
        let detaching = try #require(found.remedy?.trimmingPrefix("if it is not meant for that: "))
        try expect("filters", .warning, remedy: String(detaching), ["--uplink", "eth9"]) {
            try shell(String(detaching))
            return ["--uplink", "eth9"]
        }
        #expect(try doctor(capabilities: .bpf)["filters"]?.evidence.hasPrefix("not asked: ") == true)
        withExtendedLifetime((program, early)) {}
    }
}
