import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// A node in the container of Tailscale and Gluetun, with the rules of both around it.
@Suite(.serialized, .labCanBeBuilt) struct GluetunTests {
    private static let local = [WireGuardLab.neighbourNetwork.v4, WireGuardLab.neighbourNetwork.v6]
    private static let keepLocal = ["--local", local.joined(separator: ",")]

    /// The lines that a person puts into `/iptables/post-rules.txt`.
    private static func postRules() throws -> [String] {
        let ending = try Binary.run(["print", "gluetun-rules"] + keepLocal)
        #expect(ending.code == 0, "\(ending.err)")
        return ending.out.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
    }

    private let lab: WireGuardLab
    private let neighbour: LabHost

    init() throws {
        lab = try WireGuardLab()
        neighbour = try lab.houseNeighbour()
        // As tailscaled asks of whoever wants a subnet router.
        try lab.node.set("net/ipv4/ip_forward", to: "1")
        try lab.node.set("net/ipv6/conf/all/forwarding", to: "1")
    }

    private func rules(_ family: String) throws -> [Int] {
        try lab.node.run(["ip", family, "rule"]).split(separator: "\n").compactMap { line in
            Int(line.prefix { $0 != ":" })
        }
    }

    // MARK: Exit traffic

    /// Gluetun's image has iptables over nftables, Tailscale's the old one.
    @Test(
        "exit traffic leaves by the VPN alone, whosever chains stand where",
        arguments: [
            (PacketFilter.iptablesOverNFT, PacketFilter.legacy), (.iptablesOverNFT, .iptablesOverNFT),
            (.iptablesOverNFT, .nftables), (.legacy, .iptablesOverNFT),
        ])
    func exitTraffic(gluetun: PacketFilter, tailscale: PacketFilter) throws {
        _ = try lab.layForeignRules(
            gluetun: gluetun, tailscale: tailscale, postRules: Self.postRules().joined(separator: "\n"))
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, Self.keepLocal)
        #expect(try forwarder.ask(["health"]).hasPrefix("state       ready\n"))
        let uplink = try Observer(on: lab.isp, interface: "node0")
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        for (address, seen) in [
            (lab.internetAddress.v4, "\(lab.seenAddress.v4):"), (lab.internetAddress.v6, "[\(lab.seenAddress.v6)]:"),
        ] {
            let client = EchoClient(on: lab.client, to: address)
            #expect(try client.endpointSeenOverTCP().hasPrefix(seen))
            #expect(try client.endpointSeenOverUDP().hasPrefix(seen))
            #expect(try lab.client.ping(address, count: 1) == 1)
        }
        let home = lab.homeAddress.v4
        let strangers = uplink.stop().strangers(besides: [(home, "198.51.100.1"), (home, lab.clientUnderlay)])
        #expect(strangers.isEmpty && uplink.missed == 0, "\(strangers)")

        for family in ["-4", "-6"] {
            let order = try rules(family).filter { (90...101).contains($0) || (5210...5270).contains($0) }
            #expect(order == order.sorted() && Set(order.prefix { $0 < 98 }) == [90, 91, 92, 93, 94], "\(order)")
        }
        for address in [lab.nodeAddress.v4, lab.nodeAddress.v6] {
            #expect(try lab.client.ping(address, count: 1) == 1, "the node itself answers")
        }
        for address in [WireGuardLab.neighbourAddress.v4, WireGuardLab.neighbourAddress.v6] {
            #expect(try lab.client.ping(address, count: 1) == 1, "and what is kept local")
        }
        withExtendedLifetime((forwarder, echo)) {}
    }

    // MARK: What Gluetun does to itself

    @Test("a VPN that connects anew is followed: flows live on, and meanwhile nothing leaves")
    func reconnect() throws {
        let (gluetun, _) = try lab.layForeignRules(postRules: Self.postRules().joined(separator: "\n"))
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let held = try EchoClient(on: lab.client, to: lab.internetAddress.v4).converse()
        let uplink = try Observer(on: lab.isp, interface: "node0")
        for _ in 0..<3 {
            try lab.reconnect(gluetun) { () throws(LabFailure) in
                _ = try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1)
                _ = try lab.client.ping(lab.internetAddress.v6, count: 1, upTo: 1)
            }
            try eventually { try forwarder.status().state == "forwarding" }
            #expect(held.goesOn())
            #expect(try lab.passes())
        }
        let home = lab.homeAddress.v4
        let strangers = uplink.stop().strangers(besides: [(home, "198.51.100.1"), (home, lab.clientUnderlay)])
        #expect(strangers.isEmpty && uplink.missed == 0, "\(strangers)")
        withExtendedLifetime(echo) {}
    }

    @Test("a ruleset that is flushed changes nothing, with a node and without")
    func flush() throws {
        let (gluetun, _) = try lab.layForeignRules(postRules: Self.postRules().joined(separator: "\n"))
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let held = try EchoClient(on: lab.client, to: lab.internetAddress.v4).converse()
        try gluetun.flushRuleset()
        #expect(try lab.node.run(["nft", "list", "ruleset"]).isEmpty)
        #expect(held.goesOn())
        #expect(try lab.passes())
        withExtendedLifetime(echo) {}

        forwarder.child.signal(SIGKILL)
        _ = forwarder.child.wait(upTo: .seconds(5))
        #expect(try requestsBeyond() == 0)
        _ = try forwarder.ask(["down"])
        #expect(try requestsBeyond() > 0, "the control: given back, the kernel lets them out")
    }

    /// How many packets the internet gets of what the client asks it, which is never answered.
    private func requestsBeyond() throws -> Int {
        let internet = try Observer(on: lab.internet, interface: "eth0")
        #expect(try lab.isClosed())
        return internet.stop().packets { [lab.internetAddress.v4, lab.internetAddress.v6].contains($0.destination) }
    }

    // MARK: What Gluetun must be told

    /// One ping for what a line is there for.
    private func isServed(_ line: String) throws -> Bool {
        let isV4 = line.hasPrefix("iptables ")
        func of(_ pair: DualStack) -> String { isV4 ? pair.v4 : pair.v6 }
        if line.contains(" INPUT ") { return try lab.client.ping(of(lab.nodeAddress), count: 1, upTo: 1) == 1 }
        if line.contains(" FORWARD ") {
            return try lab.client.ping(of(WireGuardLab.neighbourAddress), count: 1, upTo: 1) == 1
        }
        let mark = try #require(line.firstMatch(of: /--mark 0x([0-9a-f]+)/)).output.1
        let number = try #require(Int(mark, radix: 16))
        let ping = try lab.node.start([
            "ping", "-n", "-c", "1", "-w", "1", "-I", "eth0", "-m", "\(number)", of(lab.internetAddress),
        ])
        return ping.wait(upTo: .seconds(5)) == .exited(0)
    }

    @Test("each line of print gluetun-rules is needed, and all of them are enough")
    func eachLine() throws {
        let lines = try Self.postRules()
        #expect(lines.count == 12, "\(lines)")
        let (gluetun, _) = try lab.layForeignRules()
        // Or the client's tunnel fails, and all with it.
        try gluetun.obey("iptables -A OUTPUT -p udp --sport 41641 -j ACCEPT")
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, Self.keepLocal)
        try gluetun.obey(lines.joined(separator: "\n"))
        for line in lines { #expect(try isServed(line), "after: \(line)") }
        for line in lines {
            try gluetun.obey(line.replacing(" -A ", with: " -D "))
            #expect(try !isServed(line), "without: \(line)")
            try gluetun.obey(line)
        }
        withExtendedLifetime(forwarder) {}
    }

    @Test("doctor tells of a firewall that refuses the control plane, and its remedy ends that")
    func doctor() throws {
        func firewall() throws -> DoctorReport.Finding? { try lab.node.doctor()["firewall"] }
        #expect(try firewall()?.severity == .ok, "the control: no firewall")
        let (gluetun, _) = try lab.layForeignRules()
        let ill = try #require(try firewall())
        #expect(ill.severity == .warning && ill.evidence.contains("mark 0x80000"), "\(ill)")
        let remedy = try #require(ill.remedy)
        let command = remedy.suffix("forwarder print gluetun-rules".count)
        let printed = try Binary.run(command.split(separator: " ").dropFirst().map(String.init)).out
        try gluetun.obey(printed.split(separator: "\n").filter { $0.contains(" OUTPUT ") }.joined(separator: "\n"))
        let half = try #require(try firewall())
        #expect(half.severity == .note && half.evidence.contains("names tailscale0 nowhere"), "\(half)")
        #expect(half.remedy == remedy)
        try gluetun.obey(printed)
        let well = try #require(try firewall())
        #expect(well.severity == .ok, "\(well)")
    }
}
