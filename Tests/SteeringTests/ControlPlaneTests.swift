import Glibc
import Lab
import LinuxSystem
import Testing

@testable import Steering

/// What the programs at tailscaled's cgroup make of its sockets, by the marks that leave.
@Suite(.serialized, .enabled(if: Prerequisite.missing.isEmpty, "the lab needs root and its programs"))
final class ControlPlaneTests {
    private typealias Deed = TailscaledProcess.Deed
    private typealias Sighting = MarkWatch.Sighting

    private static let bypass: UInt32 = 0x80000
    private static let control: UInt32 = 0x0108_0000

    /// Somewhere on the internet, and public resolvers, of each family.
    private static let servers = ["198.51.100.7", "2001:db8:7::7"]
    private static let resolvers = ["9.9.9.9", "2620:fe::fe"]

    private let node: LabHost
    private let world: LabHost
    private let watch: MarkWatch
    private let tailscaled: TailscaledProcess
    private let steering: Steering

    init() throws {
        node = try LabHost(named: "node")
        world = try LabHost(named: "world")
        try node.cable("eth0", to: world, "eth0")
        // It has every address and refuses at once: what is not answered is sent again, among later packets.
        try world.ip(
            """
            addr add 192.0.2.1/24 dev eth0
            addr add 2001:db8::1/64 dev eth0
            route add local 0.0.0.0/0 dev lo
            route add local ::/0 dev lo
            """)
        try node.ip(
            """
            addr add 192.0.2.2/24 dev eth0
            addr add 2001:db8::2/64 dev eth0
            route add default via 192.0.2.1
            route add default via 2001:db8::1
            """)
        watch = try MarkWatch(on: node, interface: "eth0")
        tailscaled = try TailscaledProcess(on: node)
        steering = try Steering()
        // A tailnet edge is there: the programs ask for no more.
        steering.configure(crafted)
    }

    private func attached() throws -> CgroupLinks {
        let programs = steering.controlPlane
        let cgroup = tailscaled.cgroup
        return try node.namespace.run { () throws(KernelError) in Boxed(try programs.attach(to: cgroup)) }.links()
    }

    /// Which marks left towards these ports, and nothing else left.
    private func marks(of deed: Deed) throws -> [UInt16: Set<UInt32>] {
        // What an earlier deed's connection says again, or at its end, is not this one's.
        try tailscaled.forget()
        _ = try watch.take()
        try tailscaled.perform(deed)
        return Dictionary(grouping: try watch.take(), by: \.port).mapValues { Set($0.map(\.mark)) }
    }

    @Test func `without the programs marks are tailscaled's own`() throws {
        for (server, resolver) in zip(Self.servers, Self.resolvers) {
            #expect(try marks(of: .control(server)) == [80: [Self.bypass], 443: [Self.bypass]])
            #expect(try marks(of: .update(server)) == [443: [0]])
            #expect(try marks(of: .stun(server)) == [3478: [Self.bypass]])
            #expect(try marks(of: .clientQuestionOverTCP(resolver)) == [53: [Self.bypass]])
            #expect(try marks(of: .clientQuestionOverHTTPS(resolver)) == [443: [Self.bypass]])
        }
    }

    @Test func `what is control plane bears our mark beside Tailscale's, from its first packet`() throws {
        let links = try attached()
        for server in Self.servers {
            #expect(try marks(of: .control(server)) == [80: [Self.control], 443: [Self.control]])
            #expect(try marks(of: .derp(server)) == [443: [Self.control]])
            #expect(try marks(of: .logs(server)) == [443: [Self.control]])
            #expect(try marks(of: .stun(server)) == [3478: [Self.control]])
            #expect(try marks(of: .peer(server, port: 41641)) == [41641: [Self.control]])
            #expect(
                try marks(of: .peer(server, port: 53)) == [53: [Self.control]], "unconnected: the guard's to refuse")
            #expect(try marks(of: .portMapping(server)) == [5351: [Self.control], 1900: [Self.control]])
            #expect(try marks(of: .update(server)) == [443: [0x0100_0000]])
            #expect(try marks(of: .socket(.udp, server, port: 3478, mark: Self.bypass)) == [3478: [Self.control]])
            #expect(
                try marks(of: .socket(.udp, server, port: 3478, mark: Self.bypass, .markedLate))
                    == [3478: [Self.control]])
        }
        _ = consume links
        #expect(try marks(of: .update(Self.servers[0])) == [443: [0]], "the programs go with the links")
    }

    @Test func `what may be a client's lookup bears no mark`() throws {
        let links = try attached()
        for (server, resolver) in zip(Self.servers, Self.resolvers) {
            #expect(try marks(of: .question(resolver)) == [53: [0]])
            #expect(try marks(of: .clientQuestion(resolver)) == [53: [0]])
            #expect(try marks(of: .clientQuestionOverTCP(resolver)) == [53: [0]])
            #expect(try marks(of: .clientQuestionOverTCP(server)) == [53: [0]])
            #expect(try marks(of: .clientQuestionOverHTTPS(resolver)) == [443: [0]])
            #expect(try marks(of: .socket(.tcp, server, port: 853, mark: Self.bypass)) == [853: [0]])
            #expect(try marks(of: .socket(.udp, server, port: 853, mark: Self.bypass)) == [853: [0]])
            #expect(try marks(of: .socket(.udp, resolver, port: 443, mark: 0x0208_0000)) == [443: [0]])
        }
        withExtendedLifetime(links) {}
    }

    /// The first and the last that tailscaled knows of a provider's, and their neighbours, which are anybody's.
    private static let neighbours = [
        ("1.1.1.1", true), ("1.1.1.3", true), ("1.1.1.4", false), ("1.0.0.3", true), ("8.8.8.8", true),
        ("8.8.8.9", false), ("8.8.4.4", true), ("9.9.9.11", true), ("9.9.9.12", false), ("149.112.112.10", true),
        ("149.112.112.112", true), ("149.112.112.113", false), ("194.242.2.9", true), ("194.242.3.2", false),
        ("185.71.138.138", true), ("76.76.2.48", true), ("76.76.10.48", true), ("76.76.11.0", false),
        ("45.90.28.7", true), ("45.90.30.7", true), ("45.90.29.7", false), ("2606:4700:4700::1111", true),
        ("2606:4700:4701::1", false), ("2001:4860:4860::8844", true), ("2620:fe::fe:11", true),
        ("2a07:e340::9", true), ("2001:67c:930::1", true), ("2606:1a40:1::48", true), ("2606:1a40:2::1", false),
        ("2a07:a8c0::1:2", true), ("2a07:a8c1::1:2", true), ("2a07:a8c2::1", false), ("::ffff:9.9.9.9", true),
        ("::ffff:9.9.9.12", false),
    ]

    @Test func `resolvers that speak HTTPS are known`() throws {
        let links = try attached()
        for (address, isResolver) in Self.neighbours {
            let wanted: Set = [isResolver ? 0 : Self.control]
            #expect(try marks(of: .clientQuestionOverHTTPS(address)) == [443: wanted], "\(address)")
        }
        withExtendedLifetime(links) {}
    }

    @Test func `another's mark stays as it is`() throws {
        let links = try attached()
        for server in Self.servers {
            // Gluetun compares the whole of its mark.
            for mark: UInt32 in [51_820, 0x40000, 0x0002_0000, 1] {
                #expect(try marks(of: .socket(.tcp, server, port: 443, mark: mark)) == [443: [mark]])
                #expect(try marks(of: .socket(.udp, server, port: 51_820, mark: mark)) == [51_820: [mark]])
                #expect(try marks(of: .socket(.udp, server, port: 53, mark: mark)) == [53: [mark]])
            }
            // Bits beside Tailscale's mask are kept.
            #expect(try marks(of: .socket(.tcp, server, port: 443, mark: 0x08_0007)) == [443: [0x0108_0007]])
            #expect(try marks(of: .socket(.tcp, server, port: 53, mark: 0x08_0007)) == [53: [7]])
        }
        withExtendedLifetime(links) {}
    }

    @Test func `the tailnet, unmarked UDP and what has no tailnet edge are not control plane`() throws {
        let links = try attached()
        for peer in ["100.100.7.7", "fd7a:115c:a1e0::7"] {
            #expect(try marks(of: .update(peer)) == [443: [0]])
        }
        for beside in ["100.128.0.1", "100.63.255.255", "fd7a:115c:a1e1::7"] {
            #expect(try marks(of: .update(beside)) == [443: [0x0100_0000]])
        }
        #expect(try marks(of: .socket(.udp, Self.servers[0], port: 4433, mark: 0)) == [4433: [0]])
        steering.configure(
            Ways(tailnet: nil, vpn: crafted.vpn, insidePort: 1, outsidePort: 1, exitIPv4: nil, exitIPv6: nil))
        #expect(try marks(of: .update(Self.servers[0])) == [443: [0]])
        #expect(try marks(of: .derp(Self.servers[0])) == [443: [Self.control]])
        withExtendedLifetime(links) {}
    }

    /// The connections of a listener bear its mark: the control has one.
    @Test func `a connection that tailscaled accepts bears no mark`() throws {
        let links = try attached()
        for (port, mark, seen) in [(9002, 0, 0), (9003, Self.bypass, Self.control)] as [(UInt16, UInt32, UInt32)] {
            try tailscaled.perform(.listen(port: port, mark: mark))
            _ = try watch.take()
            try world.run(["python3", "-c", "import socket; socket.create_connection((\"192.0.2.2\", \(port)), 2)"])
            #expect(Set(try watch.take().map(\.mark)) == [seen])
        }
        withExtendedLifetime(links) {}
    }

    @Test func `loopback is left alone`() throws {
        let links = try attached()
        let loopback = try MarkWatch(on: node, interface: "lo")
        for address in ["127.0.0.51", "::1"] {
            try tailscaled.perform(.update(address))
            try tailscaled.perform(.socket(.udp, address, port: 53, mark: Self.bypass))
            let seen = try loopback.take().filter { $0.port == 53 || $0.port == 443 }
            // The mark that tailscaled sets has met setsockopt, which knows no destination.
            #expect(Set(seen.map(\.mark)) == [0, Self.control], "\(seen)")
        }
        withExtendedLifetime(links) {}
    }

    @Test func `others' programs at the cgroup stay`() throws {
        let first = try attached()
        let second = try attached()
        _ = consume first
        #expect(try marks(of: .derp(Self.servers[0])) == [443: [Self.control]])
        _ = consume second
        #expect(try marks(of: .derp(Self.servers[0])) == [443: [Self.bypass]])
    }
}

/// Takes a noncopyable value out of a namespace's thread.
private final class Boxed: @unchecked Sendable {
    private var held: CgroupLinks?

    init(_ links: consuming CgroupLinks) { held = consume links }

    func links() -> CgroupLinks { held.take()! }
}
