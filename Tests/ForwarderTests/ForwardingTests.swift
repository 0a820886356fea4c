import Lab
import LinuxSystem
import Testing

/// The real program between a client and an internet, over plain edges and over WireGuard tunnels.
@Suite(.serialized) struct ForwardingTests {
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
            let client = EchoClient(on: lab.client, to: address)
            #expect(try client.endpointSeenOverTCP().hasPrefix(seen))
            #expect(try client.endpointSeenOverUDP().hasPrefix(seen))
            #expect(try client.streamReturns(pieces: [1, 1, 1, 1447, 65_537, 2]))
            #expect(try client.datagramsSpoiled(sizes: [0, 1, 512, 1200]) == [], "\(address)")
        }
        print(try forwarder.ask(["status"]))
        print(try forwarder.ask(["flows"]))
        #expect(forwarder.stop() == .exited(0))
        print(forwarder.child.standardError)
        withExtendedLifetime(echo) {}
    }
}
