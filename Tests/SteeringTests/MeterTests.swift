import CBPF
import Glibc
import Lab
import LinuxNetwork
import LinuxSystem
import PacketParse
import Testing

@testable import Steering

/// What is counted for the bill, beside what the far end of the same cable counts.
@Suite(.enabled(if: geteuid() == 0, "needs root"))
final class MeterTests {
    private let lab: PlainLab
    private var steering: Steering
    /// The node's end of the cable; it takes no super-packet to the wire, and joins what comes.
    private var link: String { lab.vpnEdge }
    private static let services = [GuardRules.Service(.tcp, 22)]

    init() throws {
        lab = try PlainLab()
        steering = try Steering()
        try lab.node.run(["ethtool", "-K", lab.vpnEdge, "tso", "off", "tx-udp-segmentation", "off", "gro", "on"])
        try lab.internet.run(
            ["ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off", "tx-udp-segmentation", "off"])
        // It counts what leaves: a veth whose peer joins packets counts them without their Ethernet headers.
        try lab.internet.run(["tc", "qdisc", "add", "dev", "eth0", "root", "pfifo", "limit", "10000"])
    }

    private func attach() throws {
        let programs = [Steering.Program.guardEgress, .uplinkIngress].map { ($0, steering.loaded($0).descriptor) }
        let link = try lab.node.namespace.run { [link] () throws(KernelError) in
            let netlink = try Netlink()
            guard let found = try netlink.link(named: link) else {
                throw KernelError("RTM_GETLINK", .noSuchFileOrDirectory, link)
            }
            try netlink.addClsact(to: found)
            for (program, descriptor) in programs {
                let filter = Filter(program.rawValue, program.direction, priority: 1, handle: 1)
                try netlink.attach(filter, to: found, program: descriptor)
            }
            return found
        }
        var rules = GuardRules()
        rules.observes = true
        rules.uplinks = [.init(index: link.index, isEthernet: link.isEthernet)]
        rules.vpnEndpoints = [.init(try #require(IPAddress(lab.internetAddress.v4)), 51_820)]
        rules.services = Self.services
        steering.guardUplinks(by: rules)
    }

    private struct Count: Equatable {
        var sent: UInt64
        var received: UInt64

        static func - (now: Count, before: Count) -> Count {
            Count(sent: now.sent - before.sent, received: now.received - before.received)
        }
    }

    /// By the programs, and by the far end.
    private func counts() throws -> (ours: Count, theirs: Count) {
        let reading = try steering.readMeters()
        let arrived = reading.meters.filter { $0.key.hasPrefix("uplink_") }.values
        // "Sent 5000 bytes 50 pkt (dropped 0, overlimits 0 requeues 0)"
        let words = try lab.internet.run(["tc", "-s", "qdisc", "show", "dev", "eth0"]).split(separator: " ")
        let sent = try #require(words.firstIndex(of: "bytes").flatMap { UInt64(words[$0 - 1]) })
        let received = try lab.internet.counters(of: "eth0").receivedBytes
        return (
            Count(
                sent: reading.egress.values.reduce(0) { $0 + $1.bytes }, received: arrived.reduce(0) { $0 + $1.bytes }),
            Count(sent: UInt64(received), received: sent)
        )
    }

    /// When the line has been silent for a while.
    private func settledCounts() throws -> (ours: Count, theirs: Count) {
        var last = try counts()
        for _ in 0..<50 {
            usleep(100_000)
            let now = try counts()
            if now == last { return now }
            last = now
        }
        return last
    }

    @Test(arguments: Transfer.Direction.allCases, [false, true])
    func `super-packets count as the far end counts their segments, retransmissions too`(
        direction: Transfer.Direction, isLossy: Bool
    ) throws {
        try attach()
        if isLossy {
            // Behind both counters: lost after it was on the wire.
            let lossy =
                "add table inet lossy; add chain inet lossy in { type filter hook prerouting priority -400; }; "
                + "add rule inet lossy in meta l4proto tcp numgen random mod 100 < 1 counter drop"
            for host in [lab.node, lab.internet] { try host.nft(lossy) }
        }
        let before = try settledCounts()
        for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
            let transfer = try Transfer(
                direction, bytes: 20_000_000, client: lab.node, server: lab.internet, at: address)
            #expect(transfer.isIntact)
        }
        let after = try settledCounts()
        let ours = after.ours - before.ours
        #expect(ours == after.theirs - before.theirs)
        #expect(ours.sent + ours.received > 40_000_000)
        // The control: there were super-packets on the way that carried the bytes, or nothing was shown.
        let reading = try steering.readMeters()
        let way = direction == .upload ? reading.egress : reading.meters
        #expect(way.values.reduce(0) { $0 + $1.packets } < 25_000, "40 MB are 27,700 packets of 1,514 octets")
    }

    @Test func `what an uplink brings is told by class`() throws {
        steering.guardUplinks(
            by: {
                var rules = GuardRules()
                rules.uplinks = [.init(index: 1, isEthernet: true)]
                rules.vpnEndpoints = [
                    .init(IPAddress("198.51.100.1")!, 1194), .init(IPAddress("2001:db8:9::1")!, 1194),
                ]
                rules.services = Self.services
                return rules
            }())
        let home4 = "192.0.2.2"
        let home6 = "2001:db8:2::2"
        let cases: [(Octets, String)] = [
            (ethernet(.ipv4, ipv4("198.51.100.1", home4, .udp, udp(1194, 9))), "uplink_encapsulation"),
            (ethernet(.ipv6, ipv6("2001:db8:9::1", home6, .udp, udp(1194, 9))), "uplink_encapsulation"),
            (
                ethernet(.ipv4, ipv4("198.51.100.1", home4, .udp, offset: 1480, Octets(repeating: 1, count: 64))),
                "uplink_encapsulation"
            ),
            (ethernet(.ipv4, ipv4("198.51.100.1", home4, .udp, udp(1195, 9))), "uplink_control"),
            (ethernet(.ipv4, ipv4("198.51.100.2", home4, .udp, udp(1194, 9))), "uplink_control"),
            (ethernet(.arp, Octets(repeating: 0, count: 28)), "uplink_management"),
            (ethernet(.ipv4, ipv4("203.0.113.9", home4, .tcp, tcp(5000, 22))), "uplink_management"),
            (ethernet(.ipv4, ipv4("203.0.113.9", home4, .udp, udp(5000, 22))), "uplink_control"),
            (ethernet(.ipv4, ipv4("192.0.2.1", home4, .udp, udp(67, 68))), "uplink_management"),
            (ethernet(.ipv6, ipv6("fe80::1", home6, .icmpv6, icmp(135))), "uplink_management"),
            (ethernet(.ipv6, ipv6("2001:db8:113::1", home6, .icmpv6, icmp(129))), "uplink_control"),
            (ethernet(.ipv4, Octets(repeating: 0, count: 40)), "uplink_control"),
        ]
        for (frame, expected) in cases {
            let before = try steering.readMeters().meters
            _ = try steering.run(.uplinkIngress, on: frame)
            let after = try steering.readMeters().meters
            let risen = after.filter { $0.value != before[$0.key] }
            #expect(Array(risen.keys) == [expected])
            #expect(risen[expected]?.bytes == (before[expected]?.bytes ?? 0) + UInt64(frame.count))
        }
    }
}
