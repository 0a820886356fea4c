import LinuxNetwork
import Testing

@testable import Node

struct EncapsulationTests {
    private func device(mark: UInt32, _ endpoints: String?...) -> WireGuardDevice {
        WireGuardDevice(
            .process, mark: mark,
            peers: endpoints.map { text in
                var peer = WireGuardDevice.Peer()
                peer.endpoint = text.flatMap { Endpoint($0) }
                return peer
            })
    }

    @Test("what the settings say wins, then what the interface tells, then the usual mark")
    func precedence() throws {
        let silent = Encapsulation(TunnelSettings(), nil)
        #expect(silent.marks == [51_820] && silent.endpoints.isEmpty)

        let told = Encapsulation(TunnelSettings(), device(mark: 7, "192.0.2.1:1", nil, "[2001:db8::1]:2"))
        #expect(told.marks == [7])
        #expect(told.endpoints.map(\.description) == ["192.0.2.1:1", "[2001:db8::1]:2"])

        var settings = TunnelSettings()
        settings.mark = 8
        settings.endpoint = Endpoint("198.51.100.1:51820")
        let set = Encapsulation(settings, device(mark: 7, "192.0.2.1:1"))
        #expect(set.marks == [8] && set.endpoints.map(\.description) == ["198.51.100.1:51820"])
    }

    @Test("zero is no mark: everybody's packets bear it")
    func noMark() {
        let told = Encapsulation(TunnelSettings(), device(mark: 0, "192.0.2.1:1"))
        #expect(told.marks.isEmpty && told.endpoints.count == 1)
    }
}
