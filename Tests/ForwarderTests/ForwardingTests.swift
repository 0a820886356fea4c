import Foundation
import Lab
import LinuxSystem
import Node
import Testing

/// The real program between a client and an internet, over plain edges and over WireGuard tunnels, with nothing but the
/// two capabilities it asks for.
@Suite(.serialized, .labCanBeBuilt) struct ForwardingTests {
    @Test("every kind of conversation passes with the exit address", arguments: LabKind.allCases, ["uring", "poll"])
    func conversations(kind: LabKind, io: String) throws {
        let lab = try kind.make()
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, ["--io", io])
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let versions = [
            (lab.internetAddress.v4, "\(lab.seenAddress.v4):"), (lab.internetAddress.v6, "[\(lab.seenAddress.v6)]:"),
        ]
        for (address, seen) in versions {
            #expect(try lab.client.ping(address) == 3, "\(address)")
            #expect(try lab.client.ping(address, size: 3000) == 3, "fragments to \(address)")
            let client = EchoClient(on: lab.client, to: address)
            #expect(try client.endpointSeenOverTCP().hasPrefix(seen))
            #expect(try client.endpointSeenOverUDP().hasPrefix(seen))
            #expect(try client.streamReturns(pieces: [1, 1, 1, 1447, 65_537, 2]))
            #expect(try client.datagramsSpoiled(sizes: [0, 1, 512, 1200, 1472, 9000, 65_507]) == [], "\(address)")
        }
        #expect(try forwarder.ask(["status", "--json"]).contains(#""io":"\#(io)""#))
        #expect(forwarder.stop() == .exited(0))
        withExtendedLifetime(echo) {}
    }

    @Test("a thousand connections stand at once, each a flow", arguments: LabKind.allCases, ["uring", "poll"])
    func manyFlows(kind: LabKind, io: String) throws {
        let lab = try kind.make()
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, ["--io", io])
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let flows = try ConcurrentFlows(1000, from: lab.client, to: lab.internetAddress.v4)
        #expect(flows.completed == 1000)
        #expect(flows.endpointsSeen.count == 1000)
        let answer = try forwarder.ask(["flows", "--top", "1000", "--json"])
        #expect(answer.contains(#""total":1000"#), "\(answer.suffix(100))")
        #expect(!answer.contains(lab.internetAddress.v4) && !answer.contains(lab.clientAddress.v4), "masked")
        #expect(try forwarder.ask(["flows", "--reveal", "--json"]).contains(lab.internetAddress.v4))
        withExtendedLifetime(echo) {}
    }

    @Test("a transfer arrives as it was sent, both ways", arguments: LabKind.allCases, ["uring", "poll"])
    func transfer(kind: LabKind, io: String) throws {
        let lab = try kind.make()
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, ["--io", io])
        for direction in Transfer.Direction.allCases {
            for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
                let transfer = try Transfer(
                    direction, bytes: 3_000_001, client: lab.client, server: lab.internet, at: address)
                #expect(transfer.isIntact && transfer.bytes == 3_000_001)
            }
        }
        let status = try forwarder.status()
        if kind == .plain {
            #expect(status.forwarded.egress.superPackets > 0 && status.forwarded.ingress.superPackets > 0)
        }
    }

    @Test("the counters are the kernel's, to the byte and the packet", arguments: ["uring", "poll"])
    func counters(io: String) throws {
        let lab = try PlainLab()
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, ["--io", io])
        let before = try (lab.node.counters(of: "fwd-in"), lab.node.counters(of: "fwd-out"))
        _ = try Transfer(
            .upload, bytes: 5_000_000, client: lab.client, server: lab.internet, at: lab.internetAddress.v4)
        _ = try Transfer(
            .download, bytes: 5_000_000, client: lab.client, server: lab.internet, at: lab.internetAddress.v6)
        // The last acknowledgements are still on their way.
        usleep(500_000)
        let after = try (lab.node.counters(of: "fwd-in"), lab.node.counters(of: "fwd-out"))
        let status = try forwarder.status().forwarded
        // A tun's transmitted is what we read, its received what we wrote.
        #expect(status.egress.bytes == UInt64(after.0.sentBytes - before.0.sentBytes))
        #expect(status.egress.packets == UInt64(after.0.sentPackets - before.0.sentPackets))
        #expect(status.egress.bytes == UInt64(after.1.receivedBytes - before.1.receivedBytes))
        #expect(status.ingress.bytes == UInt64(after.1.sentBytes - before.1.sentBytes))
        #expect(status.ingress.bytes == UInt64(after.0.receivedBytes - before.0.receivedBytes))
        #expect(status.ingress.packets == UInt64(after.0.receivedPackets - before.0.receivedPackets))
    }

    @Test("the host's own traffic on both edges is untouched", arguments: LabKind.allCases)
    func ownTraffic(kind: LabKind) throws {
        let lab = try kind.make()
        let echo = try EchoServer(on: lab.node, at: lab.nodeAddress)
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab)
        #expect(try lab.client.ping(lab.nodeAddress.v4) == 3)
        #expect(try lab.client.ping(lab.nodeAddress.v6) == 3)
        #expect(
            try EchoClient(on: lab.client, to: lab.nodeAddress.v4).endpointSeenOverTCP().hasPrefix(lab.clientAddress.v4)
        )
        // The node asks the internet by its VPN, with a source port of its own, while a client does the same.
        let far = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let viaVPN = ["ping", "-c", "3", "-i", "0.2", "-W", "2", "-I", lab.vpnEdge, lab.internetAddress.v4]
        if kind == .plain { try lab.node.run(viaVPN) }
        #expect(
            try EchoClient(on: lab.client, to: lab.internetAddress.v4).endpointSeenOverUDP().hasPrefix(
                lab.seenAddress.v4))
        let status = try forwarder.status()
        #expect(status.drops.values.reduce(0, +) == 0, "\(status.drops.filter { $0.value > 0 })")
        withExtendedLifetime((echo, far)) {}
    }

    @Test("nothing from outside reaches a client that did not ask", arguments: ["uring", "poll"])
    func unsolicited(io: String) throws {
        let lab = try PlainLab()
        let forwarder = try ForwarderProcess(Binary.path.path, on: lab, ["--io", io])
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        // A live binding, so that packets to its port do come to us.
        let seen = try EchoClient(on: lab.client, to: lab.internetAddress.v4).endpointSeenOverUDP()
        let port = try #require(seen.split(separator: ":").last.map(String.init))
        let before = try lab.client.counters(of: "eth0").receivedPackets
        // From another port of the same remote: not the flow that the client opened.
        try lab.internet.run([
            "bash", "-c", "for i in 1 2 3 4 5; do echo x > /dev/udp/\(lab.exitAddress.v4)/\(port); done",
        ])
        usleep(300_000)
        #expect(try forwarder.status().drops["no_flow"] ?? 0 >= 5)
        #expect(
            try lab.client.counters(of: "eth0").receivedPackets - before < 5,
            "five were sent; a neighbour may have spoken")
        withExtendedLifetime(echo) {}
    }
}

extension ForwarderProcess {
    func status() throws -> Status {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Status.self, from: Data(ask(["status", "--json"]).utf8))
    }
}

/// What the tests read of a status, as a script would.
struct Status: Decodable {
    struct Traffic: Decodable {
        let packets: UInt64
        let bytes: UInt64
        let superPackets: UInt64
    }

    struct Forwarded: Decodable {
        let egress: Traffic
        let ingress: Traffic
        let hairpin: Traffic
    }

    struct Edge: Decodable {
        let name: String
        let kind: String
    }

    struct Edges: Decodable {
        let tailnet: Edge?
        let vpn: Edge?
        let uplink: Edge?
    }

    struct Errors: Decodable {
        let sent: [String: UInt64]
        let suppressed: UInt64
    }

    struct Flows: Decodable {
        let live: Int
        let capacity: Int
        let flushed: UInt64
    }

    let state: String
    let notes: [String]
    let dns: StatusReport.DNS?
    let edges: Edges
    let forwarded: Forwarded
    let flows: Flows
    let errors: Errors
    let drops: [String: UInt64]
    let local: [String]
    let pid: Int
}
