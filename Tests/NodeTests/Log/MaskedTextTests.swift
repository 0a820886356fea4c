import Testing

@testable import Node

@Suite("An address in a text")
struct MaskedTextTests {
    @Test(
        "It is masked wherever it stands, with its port",
        arguments: [
            ("203.0.113.10", "(address)"), ("to 203.0.113.10.", "to (address)."),
            ("203.0.113.10:443: refused", "(address): refused"),
            ("RTM_NEWROUTE 192.0.2.0/30: No", "RTM_NEWROUTE (address)/30: No"),
            ("2001:db8::1", "(address)"), ("[2001:db8::1]:53 does", "[(address)] does"),
            ("fe80::1%eth0", "(address)%eth0"),
            ("via fd7a:115c:a1e0::2, not", "via (address), not"), ("\"10.64.0.1\"", "\"(address)\""),
            ("peer=100.64.0.2 x=2001:DB8::A", "peer=(address) x=(address)"),
            ("10.0.0.1,10.0.0.2", "(address),(address)"),
            ("remote:192.0.2.1 gone", "remote:(address) gone"), ("udp:10.0.0.1:53", "udp:(address)"),
            ("é10.0.0.1", "é(address)"), ("::ffff:10.0.0.1", "(address)"),
        ])
    func masked(text: String, expected: String) {
        #expect(maskingAddresses(in: text) == expected)
    }

    @Test(
        "What is nearly one is masked, too",
        arguments: [
            ("203.0.113.10:53:53", "(address)"), ("203.0.113.10..5.", "(address)."), ("x_203.0.113.10", "x_(address)"),
            ("1.203.0.113.10", "(address)"), ("203.0.113.010", "(address)"), ("fwd203.0.113.10!", "fwd(address)!"),
            ("2001:db8::77.5", "(address)"), ("53:203.0.113.010", "53:(address)"),
            ("[fd7a:115c:a1e0:ab12:4843:cd96:6258]:53", "[(address)]"), ("a:b:c:d:e:f:0:1:fd7a", "(address)"),
            ("d203.0.113.10", "d(address)"), ("99999.1.1.1", "(address)"),
        ])
    func nearly(text: String, expected: String) {
        #expect(maskingAddresses(in: text) == expected)
    }

    @Test(
        "What is none, and what is nobody's, stays",
        arguments: [
            "forwarding", "6.18.0", "at 02:37:01", "fwd-in: busy", "127.0.0.51:53", "::1", "0.0.0.0/0", "::/0",
            "eth0.7",
            "std::fade", "a: b", "decade: dead.", "", ".", ":", "/sys/fs/bpf", "1:2:3", "1.2.3", "fwd127.0.0.1",
            "x ::1: y", "to ::1.", "02:42:ac:11:00:02",
        ])
    func kept(text: String) {
        #expect(maskingAddresses(in: text) == text)
    }
}
