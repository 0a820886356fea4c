import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// A node whose uplinks come, go and contradict each other. The tunnels' own packets travel by a cable that is none of
/// them, so between the edges all goes on; what falls to the kernel's routing leaves by an uplink, and would be answered.
@Suite(.serialized, .labCanBeBuilt) struct UplinkTests {
    private let lab: PlainLab
    private let tunnel: [WireGuard]
    private let forwarder: ForwarderProcess

    init() throws {
        lab = try PlainLab()
        try lab.node.ip("link del tun0")
        tunnel = try lab.digVPNEdge()
        try lab.node.ip("route del default dev tun0\nroute del ::/0 dev tun0")
        try lab.layUplink("eth0", 1, metric: 100)
        try lab.layUplink("eth1", 2, metric: 200)
        #expect(try lab.passes(), "the control: the kernel would route it")
        forwarder = try ForwarderProcess(Binary.path.path, on: lab)
    }

    private func expectUplink(_ name: String?, _ comment: Comment) throws {
        try eventually(within: .seconds(2)) { try forwarder.status().edges.uplink?.name == name }
        let text = try forwarder.ask(["status"])
        #expect(text.contains(name.map { "uplink \($0) (ethernet)" } ?? "no uplink"), comment)
        #expect(try lab.passes(), comment)
    }

    private func doctor() throws -> DoctorReport.Finding? { try lab.node.doctor()["uplink"] }

    @Test("of several default routes status tells which is taken, doctor that they are several, and all goes on")
    func several() throws {
        try expectUplink("eth0", "the smallest metric")
        #expect(try doctor()?.evidence.contains("of several the smallest metric decides") == true)

        try lab.node.ip("route del default metric 200\nroute del ::/0 dev eth0 metric 100")
        try expectUplink("eth0", "IPv4's")
        let split = try #require(try doctor())
        #expect(split.severity == .note && split.evidence.contains("eth0 is taken as the uplink"), "\(split)")
        #expect(split.remedy?.contains("--uplink eth1") == true)

        try lab.node.ip("route del default metric 100")
        try expectUplink("eth1", "IPv6's, where IPv4 has none")
        let seen = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let endpoint = try EchoClient(on: lab.client, to: lab.internetAddress.v4).endpointSeenOverTCP()
        #expect(endpoint.contains(lab.exitAddress.v4), "\(endpoint)")
        withExtendedLifetime(seen) {}
    }

    @Test("when another uplink is named, SIGHUP moves the guard there")
    func named() throws {
        func guards(_ name: String) throws -> Bool {
            try lab.node.run(["tc", "filter", "show", "dev", name, "egress"]).contains("guard_egress")
        }
        #expect(try guards("eth0") && guards("eth1"))
        forwarder.stop()
        let file = "/run/forwarder.yaml"
        try lab.node.write("uplink: eth0\n", to: file)
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--config", file])
        try eventually { try node.status().edges.uplink?.name == "eth0" }
        try lab.node.write("uplink: eth1\n", to: file)
        node.child.signal(SIGHUP)
        try eventually { try node.status().edges.uplink?.name == "eth1" }
        try eventually { try guards("eth1") && !guards("eth0") }
        #expect(try lab.passes())
    }

    @Test("what is unusual and no obstacle is told by status, a sentence each, and by the log where it is a warning")
    func notes() throws {
        func isTold(_ sentence: String) throws -> Bool { try forwarder.ask(["status"]).contains(sentence) }
        try eventually { try isTold("note       of several the smallest metric decides") }
        try lab.node.ip("route del default metric 200\nroute del ::/0 metric 200")
        try eventually { try forwarder.status().notes == [] }
        let passing = "bpf bytecode '1,6 0 0 4294967295' flowid 1:1"
        try lab.node.run(["sh", "-c", "tc filter add dev eth0 egress protocol all prio 1 handle 7 \(passing)"])
        try lab.node.ip("link set eth0 mtu 1400")
        try eventually { try isTold("before the guard, which may let pass what that refuses") }
        try lab.node.run(["sh", "-c", "tc filter del dev eth0 egress prio 1 handle 7 bpf"])
        try lab.node.ip("link set eth0 mtu 1500")
        try eventually { try forwarder.status().notes == [] }
        try lab.node.run(["ip", "-6", "addr", "flush", "dev", "tun0", "scope", "global"])
        try eventually { try isTold("note       tun0 has no IPv6 address") }
        try lab.node.ip("link del eth0\nlink del eth1")
        try eventually { try isTold("no uplink is known that a guard could stand on") }
        try eventually { forwarder.child.standardError.contains("by any interface; next: name it") }
        #expect(!forwarder.child.standardError.contains("has no IPv6 address"))
    }

    @Test("an uplink that is lost and back is told soon, whatever took it away, and forwarding goes on")
    func lostAndBack() throws {
        let eth0 = "route add default via 198.18.1.1 metric 100\nroute add ::/0 via fd00:1::1 metric 100"
        try lab.node.ip("link set eth0 down")
        try expectUplink("eth1", "eth0 is down")
        try lab.node.ip("link set eth0 up\naddr replace fd00:1::2/64 dev eth0\n\(eth0)")
        try expectUplink("eth0", "it is up again")

        try lab.node.ip("route del default metric 100\nroute del ::/0 metric 100")
        try expectUplink("eth1", "its routes are gone, and nothing else")
        try lab.node.ip("route replace default via 198.18.1.1 metric 200\nroute replace ::/0 via fd00:1::1 metric 200")
        try expectUplink("eth0", "its routes replace others")

        try lab.node.ip("link del eth0\nlink del eth1")
        try expectUplink(nil, "no uplink at all")
        #expect(try doctor()?.evidence.contains("no default route") == true)
        try lab.layUplink("eth0", 1, metric: 100)
        try expectUplink("eth0", "made again")
    }

    @Test("changes of other routes are no news, in a burst or in a table of thousands: the node sleeps on")
    func otherRoutes() throws {
        let routes = (0..<10_000).map { "route add 198.19.\($0 / 250).\($0 % 250)/32 via 198.18.1.1" }
        let before = try forwarder.processorSeconds()
        try lab.node.ip(routes.joined(separator: "\n"))
        usleep(300_000)  // until the node has heard of all of them
        let burst = try forwarder.processorSeconds()
        // Each by itself, so that no look answers for two: a look lists every route there is.
        for number in 0..<100 { try lab.node.ip("route add 198.20.0.\(number)/32 via 198.18.1.1") }
        let after = try forwarder.processorSeconds()
        print("processor time: 10,000 routes at once \(burst - before) s, 100 one by one \(after - burst) s")
        #expect(after - burst < 0.2, "a look at each costs 0.5 s")
        try lab.node.ip("route del default metric 100\nroute del ::/0 metric 100")
        try expectUplink("eth1", "the control: a default route is news")
    }
}

extension Lab {
    /// One packet of each family goes to the internet and is answered.
    func passes() throws -> Bool {
        try client.ping(internetAddress.v4, count: 1, upTo: 1) == 1
            && client.ping(internetAddress.v6, count: 1, upTo: 1) == 1
    }

    /// Neither family is answered.
    func isClosed() throws -> Bool {
        try client.ping(internetAddress.v4, count: 1, upTo: 1) == 0
            && client.ping(internetAddress.v6, count: 1, upTo: 1) == 0
    }
}

extension PlainLab {
    /// An uplink beside the tunnels. The kernel forwards, so what falls to its routing leaves there, and is answered.
    func layUplink(_ name: String, _ number: Int, metric: Int) throws {
        let (v4, v6) = ("198.18.\(number)", "fd00:\(number)")
        try node.cable(name, to: internet, "uplink\(number)")
        try internet.ip("addr add \(v4).1/24 dev uplink\(number)\naddr add \(v6)::1/64 dev uplink\(number)")
        try node.ip(
            """
            addr add \(v4).2/24 dev \(name)
            addr add \(v6)::2/64 dev \(name)
            route add default via \(v4).1 metric \(metric)
            route add ::/0 via \(v6)::1 metric \(metric)
            """)
        try node.set("net/ipv4/ip_forward", to: "1")
        try node.set("net/ipv6/conf/all/forwarding", to: "1")
        try node.nft(
            """
            table inet \(name) {
                chain leaving {
                    type nat hook postrouting priority srcnat;
                    oifname "\(name)" masquerade
                }
            }
            """)
    }
}
