import Lab
import Testing

@Suite(.serialized, .labCanBeBuilt) struct ObserverTests {
    @Test("on the uplink the provider sees two tunnels and nothing in clear")
    func tunnelsOnly() throws {
        let lab = try WireGuardLab()
        try lab.enableKernelRouting()
        let observer = try Observer(on: lab.isp, interface: "node0")
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        #expect(try lab.client.ping(lab.internetAddress.v6) == 3)
        let seen = observer.stop()
        #expect(observer.missed == 0)
        // Three requests and three answers of each version, and in both tunnels.
        #expect(seen.packets { $0.transport == 17 && [$0.sourcePort, $0.destinationPort].contains(41641) } >= 12)
        #expect(seen.packets { $0.transport == 17 && [$0.sourcePort, $0.destinationPort].contains(51820) } >= 12)
        let tunnels = [(lab.homeAddress.v4, lab.clientUnderlay), (lab.homeAddress.v4, lab.seenAddress.v4)]
        #expect(seen.strangers(besides: tunnels) == [])
    }

    @Test("a packet that leaves the node in clear does reach the internet, and the provider sees it")
    func leak() throws {
        let lab = try WireGuardLab()
        let observer = try Observer(on: lab.isp, interface: "node0")
        #expect(try lab.node.ping(lab.internetAddress.v6, count: 2) == 2)
        #expect(try lab.node.ping(lab.internetAddress.v4, count: 2) == 2)
        let seen = observer.stop()
        let strangers = seen.strangers(besides: [(lab.homeAddress.v4, lab.seenAddress.v4)])
        #expect(
            Set(strangers.map(\.source)) == [
                lab.homeAddress.v4, lab.homeAddress.v6, lab.internetAddress.v4, lab.internetAddress.v6,
            ])
        #expect(seen.packets { $0.destination == lab.internetAddress.v6 } == 2)
    }
}
