import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// Networks that the node advertises to its tailnet as their router: what clients send there is the host's to route, as
/// tailscaled says, and everything else still leaves by the VPN.
@Suite(.serialized, .labCanBeBuilt) struct SubnetRouteTests {
    private let lab: PlainLab

    /// The internet's 203.0.113.10 stands for a machine behind the node: reached with the node's own routing, it is reached
    /// without our NAT, so our count tells who carried a packet.
    init() throws {
        lab = try PlainLab()
        try lab.enableKernelRouting()
    }

    private let advertised = ["0.0.0.0/0", "203.0.113.0/24", "::/0", "192.168.7.0/24"]

    private func forwarded(_ node: ForwarderProcess) throws -> UInt64 { try node.status().forwarded.egress.packets }

    /// Whether a ping was answered, and whether it went through us.
    private func ping(_ address: String, _ node: ForwarderProcess) throws -> (answered: Bool, byUs: Bool) {
        let before = try forwarded(node)
        let answers = try lab.client.ping(address, count: 1, upTo: 1)
        return (answers == 1, try forwarded(node) > before)
    }

    @Test("they stay with the host's routing, come and go with tailscaled's word, and outlive its silence")
    func follow() throws {
        let tailscaled = try TailscaledStandIn(on: lab.node, .advertising(advertised))
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        let (v4, v6) = (lab.internetAddress.v4, lab.internetAddress.v6)
        try eventually { try node.status().local == ["203.0.113.0/24", "192.168.7.0/24"] }
        #expect(try ping(v4, node) == (true, false))
        #expect(try ping(v6, node) == (true, true))
        let rules = try lab.node.run(["ip", "rule"])
        #expect(rules.contains("from all to 203.0.113.0/24 iif tailscale0 lookup main"), "\(rules)")
        #expect(!rules.contains("0.0.0.0/0"))

        // Out of order, it has advertised nothing else.
        tailscaled.behave(.refusing)
        try eventually(within: .seconds(10)) { node.child.standardError.contains("the answer has status 500") }
        #expect(try node.status().local.count == 2)
        #expect(try ping(v4, node) == (true, false))

        tailscaled.behave(.advertising(["::/0", "0.0.0.0/0"]))
        try eventually(within: .seconds(20)) { try node.status().local == [] }
        #expect(try ping(v4, node) == (true, true))
        #expect(!(try lab.node.run(["ip", "rule"]).contains("203.0.113.0/24")))
    }

    @Test("a tailscaled that comes late, hangs or is somewhere else holds nothing up")
    func late() throws {
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        try eventually {
            node.child.standardError.contains("tailscaled does not tell on /var/run/tailscale/tailscaled.sock")
        }
        #expect(node.child.standardError.contains("No such file or directory"))
        #expect(try ping(lab.internetAddress.v4, node) == (true, true))
        let tailscaled = try TailscaledStandIn(on: lab.node, .hanging)
        try eventually(within: .seconds(10)) { tailscaled.asked > 0 }
        #expect(try ping(lab.internetAddress.v4, node) == (true, true))
        tailscaled.behave(.advertising(advertised))
        try eventually(within: .seconds(10)) { try node.status().local.count == 2 }
        #expect(node.stop() == .exited(0))
    }

    @Test("what would send much of the internet by the host's routing is refused, and said")
    func tooWide() throws {
        let wide = [
            "0.0.0.0/1", "203.0.0.0/8", "2000::/7", "::/64", "10.0.0.1/8", "\\u001b[31mno\\n", "10.0.0.0/8", "fc00::/7",
        ]
        let tailscaled = try TailscaledStandIn(on: lab.node, .advertising(wide))
        let node = try ForwarderProcess(Binary.path.path, on: lab)
        try eventually { try node.status().local == ["10.0.0.0/8", "fc00::/7"] }
        #expect(try ping(lab.internetAddress.v4, node) == (true, true))
        let doctor = try #require(try lab.node.doctor()["subnet_routes"])
        #expect(doctor.evidence.contains("0.0.0.0/1, 203.0.0.0/8, 2000::/7, ...: not kept"), "\(doctor)")
        #expect(node.child.standardError.contains("networks that are not kept; next: forwarder doctor\" networks=6"))
        #expect(!node.child.standardError.contains("203.0.0.0"), "a log names no address")
        #expect(!node.child.standardError.contains("\u{1b}"))

        // As many as anybody may write down: what has no room is left out, and forwarding goes on.
        tailscaled.behave(.advertising((0..<2_000).map { "192.\($0 / 250).\($0 % 250).0/24" }))
        try eventually(within: .seconds(20)) { try node.status().local.count == 256 }
        #expect(try ping(lab.internetAddress.v4, node) == (true, true))
    }

    @Test("doctor tells why tailscaled's word cannot be had")
    func doctor() throws {
        func finding() throws -> DoctorReport.Finding {
            try #require(try lab.node.doctor()["subnet_routes"])
        }
        func expectNote(_ reason: String) throws {
            let note = try finding()
            #expect(note.severity == .note && note.evidence.contains(reason), "\(note)")
            #expect(note.remedy?.contains("tailscale-socket:/var/run/tailscale") == true)
        }
        try expectNote("No such file or directory")

        let tailscaled = try TailscaledStandIn(on: lab.node, .hanging)
        for (manner, reason) in [
            (.hanging, "nothing was said in time"), (.refusing, "status 500"),
            (.hangingUp, "the connection was closed"), (.saying("[1]"), "not tailscaled's preferences"),
            (.saying(#"{"AdvertiseRoutes":7}"#), "not tailscaled's preferences"),
            (.saying(String(repeating: " ", count: 2 << 20)), "too long"),
        ] as [(TailscaledStandIn.Manner, String)] {
            tailscaled.behave(manner)
            try expectNote(reason)
        }
        tailscaled.behave(.saying(#"{"AdvertiseRoutes":null}"#))
        #expect(try finding().evidence == "tailscaled advertises none")
    }

    @Test("a dry run has them in its plan, and the setting says where tailscaled is")
    func dryRun() throws {
        let tailscaled = try TailscaledStandIn(on: lab.node, .advertising(advertised))
        let plan = try lab.node.run([Binary.path.path, "run", "--dry-run"])
        #expect(plan.contains("to 203.0.113.0/24 iif tailscale0 lookup"), "\(plan)")
        let elsewhere = try lab.node.run(
            [Binary.path.path, "run", "--dry-run", "--tailscaled-socket", "/run/nobody.sock"])
        #expect(!elsewhere.contains("203.0.113.0/24"))
        withExtendedLifetime(tailscaled) {}
    }
}
