import Testing

@testable import Steering

/// What userspace wrote into a port leaves by the port's edge, or not at all.
@Suite struct PortIngressTests {
    private static let packet4 = ethernet(.ipv4, ipv4("203.0.113.5", "198.51.100.7", .udp, udp(30000, 53)))
    private static let packet6 = ethernet(.ipv6, ipv6("2001:db8:5::5", "2001:db8:7::7", .udp, udp(30000, 53)))

    @Test(arguments: [packet4, packet6]) func `open, it leaves by its own edge`(packet: Octets) throws {
        let steering = try Steering()
        steering.configure(crafted)
        #expect(try steering.run(.insidePortIngress, on: packet) == .redirected("inside_to_edge"))
        #expect(try steering.run(.outsidePortIngress, on: packet) == .redirected("outside_to_edge"))
    }

    @Test(arguments: [packet4, packet6]) func `closed, it is dropped`(packet: Octets) throws {
        let steering = try Steering()
        #expect(try steering.run(.insidePortIngress, on: packet) == .dropped("inside_closed"))
        steering.configure(crafted)
        steering.close()
        #expect(try steering.run(.insidePortIngress, on: packet) == .dropped("inside_closed"))
        #expect(try steering.run(.outsidePortIngress, on: packet) == .dropped("outside_closed"))
    }

    @Test func `no octets whatever are passed on to the host`() throws {
        let steering = try Steering()
        for open in [true, false] {
            if open { steering.configure(crafted) } else { steering.close() }
            for _ in 0..<500 {
                let type: EtherType = [.ipv4, .ipv6, .arp].randomElement()!
                let octets = (0..<Int.random(in: 40...90)).map { _ in UInt8.random(in: 0...255) }
                for port in [Steering.Program.insidePortIngress, .outsidePortIngress] {
                    let outcome = try steering.run(port, on: ethernet(type, octets))
                    #expect(outcome.action == (open ? .redirect : .drop))
                }
            }
        }
    }
}
