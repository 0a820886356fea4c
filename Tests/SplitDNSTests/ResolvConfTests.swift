import LinuxNetwork
import PacketParse
import TestSupport
import Testing

@testable import SplitDNS

struct ResolvConfTests {
    private let ours = IPAddress(v4: 0x7f00_0033)

    private func text(_ octets: [UInt8]) -> String { String(decoding: octets, as: UTF8.self) }

    private func takenOver(_ original: String) -> [UInt8] { ResolvConf(Array(original.utf8)).asking(ours) }

    @Test("a file taken over asks us alone, keeps options, drops search lists, and gives back every octet")
    func takeOver() {
        let original = "# by hand\nnameserver 10.64.0.1\nsearch tail1.ts.net lan\noptions ndots:0 edns0\n"
        let octets = takenOver(original)
        let directives = text(octets).split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(directives == ["nameserver 127.0.0.51", "options ndots:0 edns0"])
        let found = ResolvConf(octets)
        #expect(found.isOurs)
        #expect(text(found.original) == original)
        #expect(found.asking(ours) == octets, "taken over again it is the same")
        #expect(found.resolver?.description == "10.64.0.1")
    }

    @Test("whatever octets were there come back")
    func roundTrip() {
        var random = RandomNumbers(seed: 53)
        let pieces = [
            "\n", "\n\n", "nameserver 1.1.1.1", "#|", "# forwarder", " ", "\r\n", "\u{0}", "é", ";x", "options a",
        ]
        for _ in 0..<5_000 {
            let count = Int.random(in: 0..<9, using: &random)
            var original = (0..<count).flatMap { _ in Array(pieces.randomElement(using: &random)?.utf8 ?? "".utf8) }
            if Bool.random(using: &random) { original += random.octets(3) }
            let found = ResolvConf(ResolvConf(original).asking(ours))
            #expect(found.original == original && found.isOurs, "\(original)")
        }
    }

    @Test("who writes over ours, or around it, has written the new content")
    func rewritten() {
        let before = takenOver("nameserver 10.64.0.1\n")
        let around = ResolvConf(Array("nameserver 192.0.2.1\n".utf8) + before)
        #expect(!around.isOurs)
        #expect(text(around.original) == "nameserver 192.0.2.1\n")
        let comment = ResolvConf(Array("# resolvconf was here\n".utf8) + before)
        #expect(text(comment.original) == "nameserver 10.64.0.1\n", "a comment is no content")
        #expect(comment.asking(ours) == before)
        let over = ResolvConf(Array("nameserver 100.100.100.100\nsearch t.ts.net\n".utf8))
        #expect(!over.isOurs && over.resolver == nil)
    }

    @Test("Gluetun, which puts its server first and keeps every line that names none, has written the new content")
    func rewrittenByGluetun() {
        let before = text(takenOver("nameserver 127.0.0.11\noptions ndots:0\n"))
        let kept = before.split(separator: "\n").filter { !$0.hasPrefix("nameserver ") }
        let found = ResolvConf(Array((["nameserver 9.9.9.9"] + kept + [""]).joined(separator: "\n").utf8))
        #expect(!found.isOurs && found.resolver?.description == "9.9.9.9")
        #expect(text(found.original) == "nameserver 9.9.9.9\n")
        let again = ResolvConf(found.asking(ours))
        #expect(again.isOurs && again.original == found.original)
    }

    @Test(
        "the VPN's resolver is the first that is neither loopback nor Tailscale's own; a provider's may be 100.64.0.0/10"
    )
    func resolver() {
        func resolver(_ text: String) -> String? { ResolvConf(Array(text.utf8)).resolver?.description }
        #expect(resolver("nameserver 127.0.0.11\n") == nil)
        #expect(resolver("nameserver 127.0.0.53\nnameserver\t100.64.0.23 # x\n") == "100.64.0.23")
        #expect(resolver("nameserver 100.100.100.100\nnameserver fd7a:115c:a1e0::53\nnameserver fd00::1") == "fd00::1")
        #expect(resolver("#nameserver 10.0.0.1\nnameserver no\n") == nil)
    }

    @Test("whose one resolver is ours already asks only us; with another beside it, or with none, it does not")
    func asksOnly() {
        func asksOnly(_ text: String) -> Bool { ResolvConf(Array(text.utf8)).asksOnly(ours) }
        #expect(asksOnly("options edns0\nnameserver \(ours)\n"))
        #expect(!asksOnly("nameserver \(ours)\nnameserver 9.9.9.9\n"))
        #expect(!asksOnly("nameserver \(ours)\nnameserver\n"))
        #expect(!asksOnly("") && !asksOnly("#nameserver \(ours)\n"))
    }
}
