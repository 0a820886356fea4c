import LinuxNetwork
import PacketParse
import Testing

struct IPAddressTextTests {
    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("::", "::"),
        ("fd7a:115c:a1e0:0:0:0:0:1", "fd7a:115c:a1e0::1"),
        ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ])
    func `an address is read, and printed in its canonical form`(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
        #expect(address.family == (text.contains(":") ? .v6 : .v4))
    }

    @Test func `the bits are in network order`() {
        #expect(IPAddress("10.1.2.3") == IPAddress(v4: 0x0a01_0203))
        #expect(IPAddress("fd00::102") == IPAddress(bits: 0xfd00 << 112 | 0x102))
    }

    @Test(arguments: [
        "", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1/8", " 10.0.0.1", "10.0.0.1\0junk", ":::", "fe80::1%eth0",
        "g::",
        "::ffff:10.0.0.1", "::ffff:a00:1", "example.com",
    ])
    func `what is not one address in one spelling is refused`(text: String) {
        #expect(IPAddress(text) == nil)
    }
}
