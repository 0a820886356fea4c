import LinuxNetwork
import PacketParse
import Testing

struct IPPrefixTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.0.0.0/8"), ("0.0.0.0/0", "0.0.0.0/0"), ("192.0.2.7", "192.0.2.7/32"), ("::/0", "::/0"),
        ("fd7a:115c:a1e0::/48", "fd7a:115c:a1e0::/48"), ("fd00::1", "fd00::1/128"),
        ("198.51.100.128/25", "198.51.100.128/25"),
    ])
    func `a prefix is read and printed`(text: String, canonical: String) throws {
        let prefix = try #require(IPPrefix(text))
        #expect(prefix.description == canonical)
        #expect(IPPrefix(canonical) == prefix)
    }

    @Test(arguments: [
        "", "/", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8",
        "10.0.0.1/8",
        "fd00::/129", "fd00::1/64", "10.0.0.0/8 ", "10/8", "10.0.0.0/99999999999999999999",
    ])
    func `what names no network is refused`(text: String) {
        #expect(IPPrefix(text) == nil)
    }

    /// The oracle compares bit by bit.
    @Test(arguments: ["10.1.2.3", "fd7a:115c:a1e0::53", "0.0.0.0", "255.255.255.255", "::", "ffff::"])
    func `a prefix of every length contains what agrees with it in its leading bits, and no more`(text: String) throws {
        let address = try #require(IPAddress(text))
        let width = address.isV4 ? 32 : 128
        for length in 0...width {
            let networkBits = (0..<length).reduce(UInt128()) { $0 | 1 << UInt128(width - 1 - $1) }
            let mapped: UInt128 = address.isV4 ? 0xffff << 32 : 0
            let network = IPAddress(bits: address.bits & networkBits | mapped)
            let prefix = try #require(IPPrefix(network, length: length))
            #expect(prefix.contains(address))
            for bit in 0..<width {
                let other = IPAddress(bits: address.bits ^ (1 << UInt128(width - 1 - bit)))
                #expect(prefix.contains(other) == (bit >= length), "\(prefix) \(other)")
            }
        }
    }

    @Test func `everything of one family contains nothing of the other`() throws {
        let v4 = try #require(IPAddress("10.0.0.1"))
        let v6 = try #require(IPAddress("fd00::1"))
        #expect(IPPrefix.everything(.v4).contains(v4))
        #expect(!IPPrefix.everything(.v4).contains(v6))
        #expect(IPPrefix.everything(.v6).contains(v6))
        #expect(!IPPrefix.everything(.v6).contains(v4))
    }
}
