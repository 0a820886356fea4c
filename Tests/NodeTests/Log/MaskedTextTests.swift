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
            ("é10.0.0.1", "é10.0.0.1"), ("::ffff:10.0.0.1", "(address)"),
        ])
    func masked(text: String, expected: String) {
        #expect(maskingAddresses(in: text) == expected)
    }

    @Test(
        "What is none, and what is nobody's, stays",
        arguments: [
            "forwarding", "6.18.0", "at 02:37:01", "fwd-in: busy", "127.0.0.51:53", "::1", "0.0.0.0/0", "::/0",
            "eth0.7",
            "1.2.3.4.5", "std::fade", "a: b", "decade: dead.", "", ".", ":", "/sys/fs/bpf", "99999.1.1.1", "1:2:3",
        ])
    func kept(text: String) {
        #expect(maskingAddresses(in: text) == text)
    }
}
