import Lab
import Testing

/// Each kind of lab, proved with the kernel's own routing in the place of the forwarder.
@Suite(.serialized, .labCanBeBuilt) struct PathTests {
    @Test("nothing passes the node until someone forwards, nor when it has stopped", arguments: LabKind.allCases)
    func closedByDefault(kind: LabKind) throws {
        let lab = try kind.make()
        #expect(try lab.client.ping(lab.nodeAddress.v4) == 3)
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            #expect(try lab.client.ping(address, count: 1, upTo: 1) == 0)
        }
        try lab.enableKernelRouting()
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        try lab.disableKernelRouting()
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            #expect(try lab.client.ping(address, count: 1, upTo: 1) == 0)
        }
        try lab.enableKernelRouting()
        #expect(try lab.client.ping(lab.internetAddress.v6) == 3)
    }

    @Test("ICMP, TCP and UDP pass whole, and the internet sees the exit address alone", arguments: LabKind.allCases)
    func conversations(kind: LabKind) throws {
        let lab = try kind.make()
        try lab.enableKernelRouting()
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let versions = [
            (lab.internetAddress.v4, "\(lab.seenAddress.v4):"), (lab.internetAddress.v6, "[\(lab.seenAddress.v6)]:"),
        ]
        for (address, seen) in versions {
            let client = EchoClient(on: lab.client, to: address)
            #expect(try client.endpointSeenOverTCP().hasPrefix(seen))
            #expect(try client.endpointSeenOverUDP().hasPrefix(seen))
            #expect(try client.streamReturns(pieces: [1, 1, 1, 1447, 65_537, 2]))
            #expect(try client.datagramsSpoiled(sizes: [0, 1, 512, 1472, 9000, 65_507]) == [], "\(address)")
            // The first ones teach the way back its MTU.
            _ = try lab.client.ping(address, count: 2, size: 3000, upTo: 1)
            #expect(try lab.client.ping(address, size: 3000) == 3, "\(address)")
        }
        withExtendedLifetime(echo) {}
    }

    @Test("a thousand connections stand at once, each with an endpoint of its own", arguments: LabKind.allCases)
    func manyFlows(kind: LabKind) throws {
        let lab = try kind.make()
        try lab.enableKernelRouting()
        let echo = try EchoServer(on: lab.internet, at: lab.internetAddress)
        let flows = try ConcurrentFlows(1000, from: lab.client, to: lab.internetAddress.v4)
        #expect(flows.completed == 1000)
        #expect(flows.endpointsSeen.count == 1000)
        withExtendedLifetime(echo) {}
    }

    @Test("a transfer arrives as it was sent", arguments: LabKind.allCases, Transfer.Direction.allCases)
    func transfer(kind: LabKind, direction: Transfer.Direction) throws {
        let lab = try kind.make()
        try lab.enableKernelRouting()
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            let size = 5_000_001
            let transfer = try Transfer(direction, bytes: size, client: lab.client, server: lab.internet, at: address)
            #expect(transfer.bytes == size)
            #expect(transfer.isIntact)
        }
    }

    @Test("throughput is measured, and the node's links count the same bytes", arguments: LabKind.allCases)
    func throughput(kind: LabKind) throws {
        let lab = try kind.make()
        try lab.enableKernelRouting()
        for direction in Transfer.Direction.allCases {
            let before = try lab.node.counters(of: lab.vpnEdge)
            let measured = try Throughput(
                direction, seconds: 1, client: lab.client, server: lab.internet, at: lab.internetAddress.v4)
            let passed = try lab.node.counters(of: lab.vpnEdge) - before
            #expect(measured.gigabitsPerSecond > 0.01)
            let bits = Double(8 * (direction == .upload ? passed.sentBytes : passed.receivedBytes))
            // A second of payload, and a little for headers, start and end.
            #expect(bits / 1e9 > 0.9 * measured.gigabitsPerSecond)
        }
    }
}
