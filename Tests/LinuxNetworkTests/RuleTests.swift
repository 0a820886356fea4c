import LinuxSystem
import PacketParse
import Testing

@testable import LinuxNetwork

@Suite(.enabled(if: isRoot, needsRoot))
struct RuleTests {
    private static let origin: UInt8 = 0xF0

    /// What `ip -j rule` says of a rule.
    private struct Oracle: Decodable {
        let priority: UInt32
        let dst: String?
        let dstlen: Int?
        let iif: String?
        let table: String?
        let action: String?

        static func all(_ family: AddressFamily) throws -> [Oracle] {
            try answer("ip -j \(family == .v4 ? "-4" : "-6") rule show", as: [Oracle].self)
        }
    }

    private func rules(_ family: AddressFamily) throws -> [Rule] {
        let inside = try #require(IPPrefix(family == .v4 ? "198.51.100.0/24" : "2001:db8::/32"))
        return [
            Rule(family, preference: 80, incoming: "left", destination: inside, .lookup(1051), origin: Self.origin),
            Rule(family, preference: 81, destination: inside, .lookup(254), origin: Self.origin),
            Rule(family, preference: 90, incoming: "left", .unreachable, origin: Self.origin),
        ]
    }

    @Test(arguments: AddressFamily.allCases)
    func `rules are added, listed as ip shows them, and deleted, each once`(family: AddressFamily) throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let before = try netlink.rules(family)
            let rules = try rules(family)
            for rule in rules {
                try netlink.add(rule)
                let refusal = #expect(throws: KernelError.self) { try netlink.add(rule) }
                #expect(refusal?.errno == .fileExists, "\(rule)")
            }
            #expect(try netlink.rules(family).filter { $0.origin == Self.origin } == rules)

            let shown = try Oracle.all(family).filter { (80...97).contains($0.priority) }
            #expect(shown.map(\.priority) == [80, 81, 90])
            #expect(shown.map(\.iif) == ["left", nil, "left"])
            #expect(shown.map(\.table) == ["1051", "main", nil])
            #expect(shown.map(\.action) == [nil, nil, "unreachable"])
            #expect(shown.map(\.dstlen) == (family == .v4 ? [24, 24, nil] : [32, 32, nil]))

            for rule in rules {
                try netlink.delete(rule)
                let absence = #expect(throws: KernelError.self) { try netlink.delete(rule) }
                #expect(absence?.errno == .noSuchFileOrDirectory, "\(rule)")
            }
            #expect(try netlink.rules(family) == before)
        }
    }

    @Test func `a rule that somebody else made is told from ours by its origin`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            try answer("ip rule add pref 90 iif left unreachable")
            try netlink.add(Rule(.v4, preference: 90, incoming: "left", .unreachable, origin: Self.origin))
            let origins = try netlink.rules(.v4).filter { $0.preference == 90 }.map(\.origin)
            #expect(origins.contains(Self.origin) && origins.count == 2)
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func `what others have rules do is read, and such rules are deleted`(family: AddressFamily) throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            let ip = family == .v4 ? "ip rule add pref" : "ip -6 rule add pref"
            let actions: [(String, Rule.Action)] = [
                ("blackhole", .blackhole), ("prohibit", .prohibit), ("unreachable", .unreachable),
                ("goto 32766", .goto(32_766)), ("nop", .nothing), ("lookup 100", .lookup(100)),
            ]
            for (index, (words, _)) in actions.enumerated() { try answer("\(ip) \(50 + index) iif left \(words)") }
            let rules = try netlink.rules(family).filter { (50..<60).contains($0.preference) }
            #expect(rules.map(\.action) == actions.map(\.1))
            for (rule, (words, _)) in zip(rules, actions) {
                #expect(rule.description.hasSuffix(" iif left \(words)"))
                try netlink.delete(rule)
            }
            #expect(try netlink.rules(family).filter { (50..<60).contains($0.preference) }.isEmpty)
        }
    }

    @Test func `a rule for a name holds before the interface is there, and for the next one of that name`() throws {
        try inFreshNamespace {
            let netlink = try Netlink()
            try answer("ip link set lo up")
            try netlink.add(Rule(.v4, preference: 90, incoming: "left", .unreachable, origin: Self.origin))
            for _ in 0..<2 {
                try makeVethPair()
                try answer("ip link set left up")
                try answer("ip link set right up")
                try answer("ip addr add 10.9.0.1/24 dev left")
                try answer("ip route add 198.51.100.0/24 dev right")
                for command in ["sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv4.conf.left.rp_filter=0"] {
                    try answer(command)
                }
                let query = "ip route get 198.51.100.7 from 10.9.0.2 iif left"
                // The shell turns the refusal into success, so that a way that is found fails the test.
                try answer("! \(query) 2>/dev/null")
                try answer("ip rule del preference 90")
                #expect(
                    String(decoding: try answer(query), as: UTF8.self).contains("right"),
                    "the control: without the rule there is a way")
                try netlink.add(Rule(.v4, preference: 90, incoming: "left", .unreachable, origin: Self.origin))
                try answer("ip link del left")
            }
        }
    }
}
