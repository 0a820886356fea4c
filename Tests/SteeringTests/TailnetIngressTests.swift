import LinuxNetwork
import Testing

@testable import Steering

/// What `tailnet_ingress` lets through to the node, and what it takes for exit traffic.
@Suite struct TailnetIngressTests {
    static let exit = Outcome.redirected("tailnet_to_port")
    static let host = Outcome.passed("tailnet_to_host")
    static let client4 = "100.64.0.9"
    static let client6 = "fd7a:115c:a1e0::9"

    static func frame(to destination: String) -> Octets {
        destination.contains(":")
            ? ethernet(.ipv6, ipv6(client6, destination, .udp, udp(5000, 53)))
            : ethernet(.ipv4, ipv4(client4, destination, .udp, udp(5000, 53)))
    }

    private static func opened(keeping prefixes: [String] = []) throws -> Steering {
        var steering = try Steering()
        steering.configure(crafted)
        try steering.keepLocal(prefixes.compactMap { IPPrefix($0) })
        return steering
    }

    @Test(arguments: ["198.51.100.7", "1.1.1.1", "10.0.0.1", "100.64.0.10", "2001:db8:7::7", "fd00::1", "::1"])
    func `what is for anyone else goes to the inside port`(destination: String) throws {
        let steering = try Self.opened()
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: destination)) == Self.exit)
    }

    @Test(arguments: [
        ("100.64.0.1", host), ("100.64.0.2", exit), ("100.100.100.100", host), ("10.1.255.255", host),
        ("10.2.0.0", exit), ("10.0.255.255", exit), ("fd7a:115c:a1e0::53", host), ("fd7a:115c:a1e0::54", exit),
        ("2001:db8:ff::1", host), ("2001:db8:fe::1", exit),
    ])
    func `prefixes kept local go to the host, their neighbours do not`(destination: String, outcome: Outcome) throws {
        let steering = try Self.opened(keeping: [
            "100.64.0.1/32", "100.100.100.100/32", "10.1.0.0/16", "fd7a:115c:a1e0::53/128",
            "2001:db8:ff::/48",
        ])
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: destination)) == outcome)
    }

    @Test func `keeping another set local forgets the old one`() throws {
        var steering = try Self.opened(keeping: ["10.1.0.0/16", "10.2.0.0/16"])
        try steering.keepLocal(["10.2.0.0/16", "10.3.0.0/16"].compactMap { IPPrefix($0) })
        let outcomes = try ["10.1.0.1", "10.2.0.1", "10.3.0.1"].map {
            try steering.run(.tailnetIngress, on: Self.frame(to: $0))
        }
        #expect(outcomes == [Self.exit, Self.host, Self.host])
    }

    @Test(arguments: ["224.0.0.251", "239.255.255.250", "255.255.255.255", "ff02::1", "ff02::1:ff00:1", "fe80::1"])
    func `multicast, broadcast and IPv6 link-local stay on the link`(destination: String) throws {
        let steering = try Self.opened()
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: destination)) == Self.host)
    }

    @Test func `IPv4 link-local is never left to the host's routing`() throws {
        let steering = try Self.opened()
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: "169.254.169.254")) == Self.exit)
    }

    @Test func `what is not IP, or not sent to us on the link, is not ours`() throws {
        let steering = try Self.opened()
        let arp = ethernet(.arp, Octets(repeating: 0, count: 28))
        let elsewhere = ethernet(
            .ipv4, to: [2, 0, 0, 0, 0, 9], ipv4(Self.client4, "1.1.1.1", .udp, udp(5000, 53)))
        #expect(try steering.run(.tailnetIngress, on: arp) == Self.host)
        #expect(try steering.run(.tailnetIngress, on: elsewhere) == Self.host)
    }

    @Test func `closed, exit traffic is dropped and the host keeps its own`() throws {
        let steering = try Self.opened(keeping: ["100.64.0.1/32"])
        steering.close()
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: "1.1.1.1")) == .dropped("tailnet_closed"))
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: "2001:db8:7::7")) == .dropped("tailnet_closed"))
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: "100.64.0.1")) == Self.host)
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: "ff02::1")) == Self.host)
    }

    @Test func `loaded and never configured is closed`() throws {
        let steering = try Steering()
        #expect(try steering.run(.tailnetIngress, on: Self.frame(to: "1.1.1.1")) == .dropped("tailnet_closed"))
    }
}
