import Lab
import LinuxSystem
import Testing

/// An edge's name that turns into another kind of interface while the node runs: with a link-layer header and without. The
/// programs read packets by that, so a mistake would take what is exit traffic for the host's.
///
/// An uplink is there by which the kernel would route what falls to it. (A dummy would be a bridge without a port: the
/// machines that this is tested on have no dummy.)
@Suite(.serialized, .labCanBeBuilt) struct EdgeKindTests {
    private let lab: PlainLab
    private let forwarder: ForwarderProcess

    init() throws {
        lab = try PlainLab()
        try lab.layUplink("eth0", 1, metric: 2048)
        try lab.node.ip("link del tun0")
        #expect(try lab.passes(), "the control: the kernel would route it by the uplink")
        try lab.makeVPNEdge(lab.exitAddress)
        forwarder = try ForwarderProcess(Binary.path.path, on: lab)
    }

    /// Traffic flows by the edge as it is now, and what the client says to the node is still the node's.
    private func expectForwarding(_ kind: String, _ edge: (Status.Edges) -> Status.Edge?) throws {
        try eventually { try forwarder.status().state == "forwarding" }
        #expect(edge(try forwarder.status().edges)?.kind == kind)
        let before = try forwarder.status().forwarded
        try eventually { try lab.passes() }
        let after = try forwarder.status().forwarded
        #expect(after.egress.packets >= before.egress.packets + 2 && after.ingress.packets > before.ingress.packets)
        #expect(try lab.client.ping(lab.nodeAddress.v4, count: 1) == 1)
        #expect(try lab.client.ping(lab.nodeAddress.v6, count: 1) == 1)
    }

    private func expectClosed() throws {
        try eventually { try forwarder.status().state == "waiting" }
        #expect(try lab.isClosed())
    }

    @Test("the vpn edge's name: veth, WireGuard, bridge, veth")
    func vpn() throws {
        try lab.node.ip("link del tun0")
        try expectClosed()
        var tunnel = try lab.digVPNEdge()
        try expectForwarding("layer3") { $0.vpn }
        tunnel = []
        try expectClosed()

        try lab.node.cable("port0", to: lab.internet, "eth0")
        try lab.internet.ip("addr add 10.64.0.1/24 dev eth0\naddr add fd00:64::1/64 dev eth0")
        try lab.node.ip(
            """
            link add tun0 type bridge
            link set port0 master tun0
            link set tun0 up
            addr add \(lab.exitAddress.v4)/24 dev tun0
            addr add \(lab.exitAddress.v6)/64 dev tun0
            route add default via 10.64.0.1
            route add default via fd00:64::1
            """)
        try expectForwarding("ethernet") { $0.vpn }
        try lab.node.ip("link set port0 nomaster")
        #expect(try lab.isClosed(), "a bridge without a port, as a dummy, leads nowhere")
        try lab.node.ip("link del tun0\nlink del port0")
        try expectClosed()
        try lab.makeVPNEdge(lab.exitAddress)
        try expectForwarding("ethernet") { $0.vpn }
        withExtendedLifetime(tunnel) {}
    }

    @Test("the tailnet edge's name: veth, WireGuard, veth, with us alive and with us dead")
    func tailnet() throws {
        try lab.node.ip("link del tailscale0")
        try eventually { try forwarder.status().state == "waiting" }
        var tunnel = try lab.digTailnetEdge()
        try expectForwarding("layer3") { $0.tailnet }
        tunnel = []
        try eventually { try forwarder.status().state == "waiting" }
        try lab.makeTailnetEdge()
        try expectForwarding("ethernet") { $0.tailnet }

        forwarder.child.signal(9)
        _ = forwarder.child.wait(upTo: .seconds(5))
        try lab.node.ip("link del tailscale0")
        tunnel = try lab.digTailnetEdge()
        #expect(try lab.isClosed(), "no program is there, but the rule is")
        #expect(try lab.client.ping(lab.nodeAddress.v4, count: 1) == 1)
        let next = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.passes())
        withExtendedLifetime((tunnel, next)) {}
    }
}
