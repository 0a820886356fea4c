import DataPlane
import LinuxNetwork
import PacketParse
import Testing

@testable import Steering

private let exit4 = "203.0.113.5"
private let exit6 = "2001:db8:5::5"
private let remote4 = "198.51.100.7"
private let remote6 = "2001:db8:7::7"

private let ours = Outcome.redirected("vpn_to_port")
private let host = Outcome.passed("vpn_to_host")
private let both = Outcome.passed("vpn_to_both")

/// Which packets from the vpn `vpn_ingress` takes for answers to us; all others are the host's.
@Suite struct VPNIngressTests {
    /// One of everything alive: TCP 20000, UDP 30000, an echo to either remote with identifier 77.
    private static func opened() throws -> Steering {
        let steering = try Steering()
        steering.configure(crafted)
        let bindings = steering.bindings()
        bindings.open(.tcp, port: 20000)
        bindings.open(.udp, port: 30000)
        for remote in [remote4, remote6] { #expect(bindings.open(query: 77, to: try #require(IPAddress(remote)))) }
        return steering
    }

    private static let unfragmented: [(String, Octets, Outcome)] = [
        ("TCP to a live port", ipv4(remote4, exit4, .tcp, tcp(443, 20000)), ours),
        ("UDP to a live port", ipv4(remote4, exit4, .udp, udp(53, 30000)), ours),
        ("TCP to UDP's live port", ipv4(remote4, exit4, .tcp, tcp(443, 30000)), host),
        ("UDP to TCP's live port", ipv4(remote4, exit4, .udp, udp(53, 20000)), host),
        ("UDP to a dead port", ipv4(remote4, exit4, .udp, udp(30000, 30001)), host),
        ("another address", ipv4(remote4, "203.0.113.6", .udp, udp(53, 30000)), host),
        ("behind IPv4 options", ipv4(remote4, exit4, .udp, options: [1, 1, 1, 0], udp(53, 30000)), ours),
        ("SCTP", ipv4(remote4, exit4, .sctp, udp(53, 30000)), host),
        ("cut before the port", ipv4(remote4, exit4, .udp, Octets(udp(53, 30000).prefix(3))), host),

        ("echo reply to a live query", ipv4(remote4, exit4, .icmp, icmp(0, id: 77)), ours),
        ("echo reply to the host's own", ipv4(remote4, exit4, .icmp, icmp(0, id: 78)), host),
        ("echo reply of another remote", ipv4("1.1.1.1", exit4, .icmp, icmp(0, id: 77)), host),
        ("echo request from outside", ipv4(remote4, exit4, .icmp, icmp(8, id: 77)), host),

        ("TCP v6 to a live port", ipv6(remote6, exit6, .tcp, tcp(443, 20000)), ours),
        ("UDP v6 to a dead port", ipv6(remote6, exit6, .udp, udp(53, 30001)), host),
        ("v6, another address", ipv6(remote6, "2001:db8:5::6", .udp, udp(53, 30000)), host),
        (
            "behind two extension headers",
            ipv6(
                remote6, exit6, .hopByHop,
                padding(before: .destinationOptions) + padding(before: .udp) + udp(53, 30000)), ours
        ),
        (
            "behind eight extension headers",
            ipv6(
                remote6, exit6, .destinationOptions,
                (0..<7).flatMap { _ in padding(before: .destinationOptions) } + padding(before: .udp)
                    + udp(53, 30000)), ours
        ),
        (
            "behind nine extension headers",
            ipv6(
                remote6, exit6, .destinationOptions,
                (0..<8).flatMap { _ in padding(before: .destinationOptions) } + padding(before: .udp)
                    + udp(53, 30000)), host
        ),
        (
            "cut within an extension header",
            ipv6(remote6, exit6, .hopByHop, Octets(padding(before: .udp).prefix(7))), host
        ),
        ("echo reply v6", ipv6(remote6, exit6, .icmpv6, icmp(129, id: 77)), ours),
        ("echo reply v6 to the host's own", ipv6(remote6, exit6, .icmpv6, icmp(129, id: 78)), host),
        ("neighbour solicitation", ipv6(remote6, exit6, .icmpv6, icmp(135)), host),
        ("ICMP's reply number in ICMPv6", ipv6(remote6, exit6, .icmpv6, icmp(0, id: 77)), host),
    ]

    @Test(arguments: unfragmented)
    func `only answers to live bindings are ours`(name: String, packet: Octets, outcome: Outcome) throws {
        let steering = try Self.opened()
        #expect(try steering.run(.vpnIngress, on: frame(packet)) == outcome, "\(name)")
    }

    private static let errors: [(String, Octets, Outcome)] = [
        ("UDP", quoting4(3, ipv4(exit4, remote4, .udp, udp(30000, 53))), ours),
        ("TCP, time exceeded", quoting4(11, ipv4(exit4, remote4, .tcp, tcp(20000, 443))), ours),
        ("eight octets of TCP", quoting4(3, ipv4(exit4, remote4, .tcp, Octets(tcp(20000, 443).prefix(8)))), ours),
        ("an echo request", quoting4(3, ipv4(exit4, remote4, .icmp, icmp(8, id: 77))), ours),
        ("the host's echo request", quoting4(3, ipv4(exit4, remote4, .icmp, icmp(8, id: 78))), host),
        ("an echo reply", quoting4(3, ipv4(exit4, remote4, .icmp, icmp(0, id: 77))), host),
        ("a dead port", quoting4(3, ipv4(exit4, remote4, .udp, udp(30001, 53))), host),
        ("TCP at UDP's port", quoting4(3, ipv4(exit4, remote4, .tcp, tcp(30000, 443))), host),
        ("a live port as destination", quoting4(3, ipv4(exit4, remote4, .udp, udp(53, 30000))), host),
        ("what another address sent", quoting4(3, ipv4("203.0.113.6", remote4, .udp, udp(30000, 53))), host),
        ("a later fragment", quoting4(3, ipv4(exit4, remote4, .udp, offset: 8, udp(30000, 53))), host),
        ("in a redirect", quoting4(5, ipv4(exit4, remote4, .udp, udp(30000, 53))), host),
        ("nothing", quoting4(3, []), host),
        ("another version", quoting4(3, ipv6(exit6, remote6, .udp, udp(30000, 53))), host),

        ("UDP v6, too big", quoting6(2, ipv6(exit6, remote6, .udp, udp(30000, 53))), ours),
        ("TCP v6", quoting6(1, ipv6(exit6, remote6, .tcp, tcp(20000, 443))), ours),
        (
            "behind an extension header",
            quoting6(1, ipv6(exit6, remote6, .hopByHop, padding(before: .udp) + udp(30000, 53))), ours
        ),
        ("an echo request v6", quoting6(1, ipv6(exit6, remote6, .icmpv6, icmp(128, id: 77))), ours),
        ("a dead port v6", quoting6(1, ipv6(exit6, remote6, .udp, udp(30001, 53))), host),
        (
            "a first fragment v6",
            quoting6(
                1, ipv6(exit6, remote6, .fragment, fragmentHeader(before: .udp, id: 5, more: true) + udp(30000, 53))),
            ours
        ),
        (
            "a later fragment v6",
            quoting6(
                1, ipv6(exit6, remote6, .fragment, fragmentHeader(before: .udp, id: 5, offset: 8) + udp(30000, 53))),
            host
        ),
        (
            "and is itself behind eight extension headers",
            ipv6(
                "2001:db8:99::1", exit6, .destinationOptions,
                (0..<7).flatMap { _ in padding(before: .destinationOptions) } + padding(before: .icmpv6)
                    + icmp(1, ipv6(exit6, remote6, .hopByHop, padding(before: .udp) + udp(30000, 53)))), ours
        ),
    ]

    /// From a router on the way, whose address says nothing.
    private static func quoting4(_ type: UInt8, _ quoted: Octets) -> Octets {
        ipv4("192.0.2.99", exit4, .icmp, icmp(type, quoted))
    }

    private static func quoting6(_ type: UInt8, _ quoted: Octets) -> Octets {
        ipv6("2001:db8:99::1", exit6, .icmpv6, icmp(type, quoted))
    }

    @Test(arguments: errors)
    func `an ICMP error is ours if it quotes what a live binding sent`(
        name: String, packet: Octets, outcome: Outcome
    ) throws {
        let steering = try Self.opened()
        #expect(try steering.run(.vpnIngress, on: frame(packet)) == outcome, "\(name)")
    }

    @Test func `later fragments go where their first one went`() throws {
        let steering = try Self.opened()
        func meets(_ packet: Octets) throws -> Outcome { try steering.run(.vpnIngress, on: frame(packet)) }
        let rest = Octets(repeating: 1, count: 16)
        func billed() throws -> UInt64? { try steering.readMeters().meters["tunnel_ingress"]?.bytes }

        let before = try #require(try billed())
        let overtaking = try meets(ipv4(remote4, exit4, .udp, id: 9, offset: 16, rest))
        #expect(try billed() == before + 36, "rather counted than hidden")
        let first = try meets(ipv4(remote4, exit4, .udp, id: 9, more: true, udp(53, 30000)))
        let middle = try meets(ipv4(remote4, exit4, .udp, id: 9, offset: 16, more: true, rest))
        let last = try meets(ipv4(remote4, exit4, .udp, id: 9, offset: 32, rest))
        #expect([overtaking, first, middle, last] == [both, ours, ours, ours])

        let otherDatagram = try meets(ipv4(remote4, exit4, .udp, id: 10, offset: 16, rest))
        let otherProtocol = try meets(ipv4(remote4, exit4, .tcp, id: 9, offset: 16, rest))
        let otherRemote = try meets(ipv4("1.1.1.1", exit4, .udp, id: 9, offset: 16, rest))
        let otherDestination = try meets(ipv4(remote4, "203.0.113.6", .udp, id: 9, offset: 16, rest))
        #expect([otherDatagram, otherProtocol, otherRemote, otherDestination] == [both, both, both, host])

        let hostsFirst = try meets(ipv4(remote4, exit4, .udp, id: 11, more: true, udp(53, 30001)))
        let hostsLast = try meets(ipv4(remote4, exit4, .udp, id: 11, offset: 16, rest))
        #expect([hostsFirst, hostsLast] == [host, both])
    }

    @Test func `closed, a fragment that overtook its first one is the host's alone`() throws {
        let steering = try Self.opened()
        let overtaking = frame(ipv4(remote4, exit4, .udp, id: 9, offset: 16, Octets(repeating: 1, count: 16)))
        steering.close()
        #expect(try steering.run(.vpnIngress, on: overtaking) == host)
        steering.configure(crafted)
        #expect(try steering.run(.vpnIngress, on: overtaking) == both)
    }

    @Test func `IPv6 fragments too, by their fragment header`() throws {
        let steering = try Self.opened()
        func meets(id: UInt32, offset: UInt16, more: Bool, _ payload: Octets) throws -> Outcome {
            let header = fragmentHeader(before: .udp, id: id, offset: offset, more: more)
            return try steering.run(.vpnIngress, on: frame(ipv6(remote6, exit6, .fragment, header + payload)))
        }
        let first = try meets(id: 0x1_0009, offset: 0, more: true, udp(53, 30000))
        let last = try meets(id: 0x1_0009, offset: 16, more: false, [1, 2, 3])
        let other = try meets(id: 0x2_0009, offset: 16, more: false, [1, 2, 3])
        let atomic = try meets(id: 0x3_0009, offset: 0, more: false, udp(53, 30000))
        #expect([first, last, other, atomic] == [ours, ours, both, ours])

        let options = padding(before: .fragment)
        let header = fragmentHeader(before: .udp, id: 0x1_0009, offset: 24)
        let behindOptions = try steering.run(
            .vpnIngress, on: frame(ipv6(remote6, exit6, .destinationOptions, options + header + [4, 5, 6])))
        #expect(behindOptions == ours)
    }

    @Test func `closed, our answers are dropped and the host keeps its own`() throws {
        let steering = try Self.opened()
        steering.close()
        let answer = frame(ipv4(remote4, exit4, .udp, udp(53, 30000)))
        let ping = frame(ipv4(remote4, exit4, .icmp, icmp(0, id: 78)))
        #expect(try steering.run(.vpnIngress, on: answer) == .dropped("vpn_closed"))
        #expect(try steering.run(.vpnIngress, on: ping) == host)
        steering.configure(crafted)
        #expect(try steering.run(.vpnIngress, on: answer) == ours)
    }

    @Test func `a family without an exit address has no answers of ours`() throws {
        let steering = try Self.opened()
        steering.configure(
            Ways(
                tailnet: crafted.tailnet, vpn: crafted.vpn, insidePort: 1, outsidePort: 1, exitIPv4: nil, exitIPv6: nil)
        )
        for packet in [
            ipv4(remote4, exit4, .udp, udp(53, 30000)), ipv4(remote4, "0.0.0.0", .udp, udp(53, 30000)),
            ipv6(remote6, exit6, .udp, udp(53, 30000)),
        ] { #expect(try steering.run(.vpnIngress, on: frame(packet)) == host) }
    }

    @Test func `a port's bit is its own`() throws {
        let steering = try Self.opened()
        let bindings = steering.bindings()
        for port: UInt16 in [0, 1, 63, 64, 16384, 32767, 65535] {
            bindings.open(.udp, port: port)
            let outcomes = try [port, port ^ 1, port ^ 64, port ^ 32].map {
                try steering.run(.vpnIngress, on: frame(ipv4(remote4, exit4, .udp, udp(53, $0))))
            }
            bindings.close(.udp, port: port)
            #expect(outcomes == [ours, host, host, host], "port \(port)")
        }
    }
}

/// The table of live queries, as the loop writes it and the program reads it.
@Suite struct LiveQueriesTests {
    private struct Query: Hashable { let host, identifier: UInt16 }

    @Test(arguments: [false, true]) func `the program finds exactly the queries that a set holds`(isV6: Bool) throws {
        let steering = try Steering()
        steering.configure(crafted)
        let bindings = steering.bindings()
        var live: Set<Query> = []
        func remote(_ query: Query) -> String { (isV6 ? "2001:db8:7::" : "10.0.0.") + "\(query.host)" }
        func anyQuery() -> Query { Query(host: .random(in: 0...99), identifier: .random(in: 0...99)) }
        func reply(to query: Query) -> Octets {
            isV6
                ? ipv6(remote(query), exit6, .icmpv6, icmp(129, id: query.identifier))
                : ipv4(remote(query), exit4, .icmp, icmp(0, id: query.identifier))
        }
        for _ in 0..<3000 {
            let query = anyQuery()
            let address = try #require(IPAddress(remote(query)))
            if live.remove(query) != nil {
                bindings.close(query: query.identifier, to: address)
            } else if bindings.open(query: query.identifier, to: address) {
                live.insert(query)
            }
        }
        for _ in 0..<1500 {
            let query = anyQuery()
            let outcome = try steering.run(.vpnIngress, on: frame(reply(to: query)))
            #expect(outcome == (live.contains(query) ? ours : host), "\(query)")
        }
    }

    @Test func `a query sits in one of eight slots, and they wrap at the table's end`() throws {
        let steering = try Steering()
        steering.configure(crafted)
        let remote = try #require(IPAddress(remote4))
        let identifier = try #require(
            (0...UInt16.max).first { LiveBindings.fingerprint(remote, $0) & 16383 == 16383 })
        let reply = frame(ipv4(remote4, exit4, .icmp, icmp(0, id: identifier)))
        for (slot, outcome) in [(16382, host), (16383, ours), (0, ours), (6, ours), (7, host)] {
            unsafe steering.liveBindings.queries[slot] = LiveBindings.fingerprint(remote, identifier)
            #expect(try steering.run(.vpnIngress, on: reply) == outcome, "slot \(slot)")
            unsafe steering.liveBindings.queries[slot] = 0
        }
    }
}

private func frame(_ packet: Octets) -> Octets { ethernet(packet[0] >> 4 == 4 ? .ipv4 : .ipv6, packet) }
