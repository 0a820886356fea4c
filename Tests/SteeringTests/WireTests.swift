import Glibc
import Lab
import LinuxNetwork
import LinuxSystem
import Testing

@testable import Steering

enum IPVersion: CaseIterable { case v4, v6 }

extension DualStack {
    fileprivate subscript(version: IPVersion) -> String { version == .v4 ? v4 : v6 }
}

private let canMakeTuns = unsafe access("/dev/net/tun", R_OK | W_OK) == 0 && geteuid() == 0

/// The programs between real Ethernet interfaces.
@Suite(.enabled(if: canMakeTuns, "needs root and /dev/net/tun"))
final class EthernetWireTests {
    private let lab: PlainLab
    private let inside, outside: Tun
    private var steering: Steering

    init() throws {
        lab = try PlainLab()
        inside = try Tun("fwd-in", in: lab.node)
        outside = try Tun("fwd-out", in: lab.node)
        steering = try Steering()
    }

    private func steer() throws {
        try steering.keepLocal([lab.nodeAddress.v4, lab.nodeAddress.v6].compactMap { IPPrefix($0) })
        try steering.steer(
            lab.node.namespace, tailnet: lab.tailnetEdge, vpn: lab.vpnEdge,
            exits: (lab.exitAddress.v4, lab.exitAddress.v6))
    }

    @Test(arguments: IPVersion.allCases)
    func `a datagram travels out and its answer back`(version: IPVersion) throws {
        let client = lab.clientAddress[version]
        let exit = lab.exitAddress[version]
        let remote = lab.internetAddress[version]
        try steer()
        steering.bindings().open(.udp, port: 30000)
        let asking = try UDPSocket(at: client, 5000, in: lab.client)
        let answering = try UDPSocket(at: remote, 53, in: lab.internet)

        asking.send([1, 2, 3, 4], to: remote, 53)
        let question = try #require(inside.receive()?.packet)
        #expect(sourceAndDestination(of: question) == [octets(client), octets(remote)])
        #expect(question.suffix(4) == [1, 2, 3, 4])

        // Nobody has resolved the next hop yet, and the packet is not lost for it.
        outside.send(datagram(exit, remote, 30000, 53, [1, 2, 3, 4]))
        #expect(answering.receive() == [1, 2, 3, 4])

        answering.send([5, 6, 7], to: exit, 30000)
        let answer = try #require(outside.receive()?.packet)
        #expect(sourceAndDestination(of: answer) == [octets(remote), octets(exit)])

        inside.send(datagram(remote, client, 53, 5000, [5, 6, 7]))
        #expect(asking.receive() == [5, 6, 7])
    }

    @Test func `the host's own traffic on both edges is untouched`() throws {
        try steer()
        for address in [lab.nodeAddress.v4, lab.nodeAddress.v6] {
            try lab.client.run(["ping", "-c", "1", "-W", "2", address])
        }
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            try lab.node.run(["ping", "-c", "1", "-W", "2", address])
        }
        for address in [lab.exitAddress.v4, lab.exitAddress.v6] {
            try lab.internet.run(["ping", "-c", "1", "-W", "2", address])
        }
        #expect(inside.receive(within: 50) == nil)
        #expect(outside.receive(within: 50) == nil)
        #expect(try steering.count(of: "tailnet_to_port") == 0)
        #expect(try steering.count(of: "vpn_to_port") == 0)
    }

    @Test func `closed, nothing comes through though the node would route it`() throws {
        let remote = lab.internetAddress.v4
        let asking = try UDPSocket(at: lab.clientAddress.v4, 5000, in: lab.client)
        let answering = try UDPSocket(at: remote, 53, in: lab.internet)
        try lab.enableKernelRouting()
        asking.send([1], to: remote, 53)
        #expect(answering.receive() == [1], "the node routes when nothing is attached")

        try steer()
        steering.close()
        asking.send([2], to: remote, 53)
        outside.send(datagram(lab.exitAddress.v4, remote, 30000, 53, [3]))
        #expect(answering.receive(within: 200) == nil)
        #expect(inside.receive(within: 50) == nil)
        #expect(try steering.count(of: "tailnet_closed") == 1)
        #expect(try steering.count(of: "outside_closed") == 1)
    }

    @Test(arguments: IPVersion.allCases)
    func `a super-packet leaves by an Ethernet edge whole`(version: IPVersion) throws {
        let exit = lab.exitAddress[version]
        let remote = lab.internetAddress[version]
        try steer()
        // Neighbours are met first, so that only the super-packet is counted.
        let answering = try UDPSocket(at: remote, 53, in: lab.internet)
        outside.send(datagram(exit, remote, 30000, 53, [1]))
        #expect(answering.receive() == [1])

        let before = try lab.node.counters(of: lab.vpnEdge)
        let sent = superPacket(exit, remote, payload: 40_000)
        outside.send(sent.packet, header: sent.header)
        let after = try lab.node.counters(of: lab.vpnEdge)
        #expect((after - before).sentPackets == 1)
        #expect((after - before).sentBytes == 14 + sent.packet.count)
    }

    @Test(.enabled(if: sysconf(CInt(_SC_PAGESIZE)) == 4096, "the limit is four pages"))
    func `an ordinary packet of more than 16 KiB finds no way out by an Ethernet edge`() throws {
        try steer()
        let (exit, remote) = (lab.exitAddress.v4, lab.internetAddress.v4)
        for length in [16_000, 16_384] {
            outside.send(datagram(exit, remote, 30000, 53, Octets(repeating: 0, count: length - 28)))
        }
        #expect(try steering.count(of: "outside_to_edge") == 1)
        #expect(try steering.count(of: "outside_no_headroom") == 1)
    }
}

/// The programs between interfaces without a link-layer header, as tun and WireGuard are.
@Suite(.enabled(if: canMakeTuns, "needs root and /dev/net/tun"))
final class L3WireTests {
    private let node: LabHost
    /// The node's edges are tuns too, so that the test stands at their far ends.
    private let tailnet, vpn, inside, outside: Tun
    private let steering: Steering

    init() throws {
        node = try LabHost(named: "node")
        tailnet = try Tun("tailscale0", in: node)
        vpn = try Tun("wg0", in: node)
        inside = try Tun("fwd-in", in: node)
        outside = try Tun("fwd-out", in: node)
        steering = try Steering()
        try steering.steer(node.namespace, tailnet: "tailscale0", vpn: "wg0", exits: ("203.0.113.5", "2001:db8:5::5"))
        steering.bindings().open(.tcp, port: 30000)
    }

    @Test(arguments: [
        ("100.64.0.9", "203.0.113.5", "198.51.100.7"), ("fd7a:115c:a1e0::9", "2001:db8:5::5", "2001:db8:7::7"),
    ])
    func `a super-packet goes all four ways whole`(client: String, exit: String, remote: String) throws {
        let asked = superPacket(client, remote, payload: 60_000)
        tailnet.send(asked.packet, header: asked.header)
        #expect(isWhole(inside.receive(), asked))

        let translated = superPacket(exit, remote, payload: 60_000)
        outside.send(translated.packet, header: translated.header)
        #expect(isWhole(vpn.receive(), translated))

        let answered = superPacket(remote, exit, to: 30000, payload: 60_000)
        vpn.send(answered.packet, header: answered.header)
        #expect(isWhole(outside.receive(), answered))

        inside.send(answered.packet, header: answered.header)
        #expect(isWhole(tailnet.receive(), answered))
    }

    /// Octet for octet, and to be finished and cut as it was. The kernel's own idea of the header length may differ.
    private func isWhole(_ received: (header: Octets, packet: Octets)?, _ sent: (header: Octets, packet: Octets))
        -> Bool
    {
        guard let received else { return false }
        return received.packet == sent.packet && received.header[0..<2] == sent.header[0..<2]
            && received.header[4...] == sent.header[4...]
    }

    @Test func `an unasked packet from the vpn reaches the node, not us`() throws {
        vpn.send(datagram("198.51.100.7", "203.0.113.5", 53, 30000, [1]))
        #expect(outside.receive(within: 50) == nil)
        #expect(try steering.count(of: "vpn_to_host") == 1)
    }

    @Test func `a fragment that overtakes its first one reaches us and the host, who puts its own datagram together`()
        throws
    {
        try node.ip("addr add 203.0.113.5/32 dev wg0\nroute add 198.51.100.7/32 dev wg0")
        let socket = try UDPSocket(at: "203.0.113.5", 40_000, in: node)
        let segment = Octets(
            datagram("198.51.100.7", "203.0.113.5", 53, 40_000, Octets(repeating: 7, count: 32))[20...])
        let later = ipv4("198.51.100.7", "203.0.113.5", .udp, id: 77, offset: 24, Octets(segment[24...]))
        vpn.send(later)
        #expect(outside.receive()?.packet == later)
        vpn.send(ipv4("198.51.100.7", "203.0.113.5", .udp, id: 77, more: true, Octets(segment[..<24])))
        #expect(socket.receive() == Octets(repeating: 7, count: 32))
        #expect(outside.receive(within: 50) == nil)
        #expect(try steering.count(of: "vpn_to_both") == 1)

        steering.close()
        vpn.send(later)
        #expect(outside.receive(within: 50) == nil)
        #expect(try steering.count(of: "vpn_to_both") == 1)
    }

    @Test func `a header cut short is dropped at the tailnet, not passed`() throws {
        tailnet.send(Octets(datagram("100.64.0.9", "198.51.100.7", 5000, 53, []).prefix(19)))
        tailnet.send(Octets(datagram("fd7a:115c:a1e0::9", "2001:db8:7::7", 5000, 53, []).prefix(39)))
        #expect(inside.receive(within: 50) == nil)
        #expect(try steering.count(of: "tailnet_malformed") == 2)
    }

    @Test func `exit traffic goes nowhere when the port has gone`() throws {
        try node.set("net/ipv4/ip_forward", to: "1")
        try node.ip("route add default dev wg0\nlink delete fwd-in")
        tailnet.send(datagram("100.64.0.9", "198.51.100.7", 5000, 53, [1]))
        #expect(vpn.receive(within: 100) == nil)
        #expect(try steering.count(of: "tailnet_to_port") == 1)
    }
}
