import PacketParse
import Testing

@Suite("An address")
struct IPAddressTests {
    @Test("IPv4 lives in the mapped prefix and comes back")
    func mapped() {
        let address = IPAddress(v4: 0xc000_0201)
        #expect(address.isV4)
        #expect(address.v4 == 0xc000_0201)
        #expect(address.bits == 0xffff_c000_0201)
        #expect(!IPAddress(bits: 1).isV4)
        #expect(!IPAddress(bits: 0xfffe_c000_0201).isV4)
        #expect(!IPAddress(bits: 1 << 100 | 0xffff_c000_0201).isV4)
    }

    @Test("0.0.0.0 and :: are nobody")
    func unspecified() {
        #expect(IPAddress.unspecified.isUnspecified)
        #expect(IPAddress(v4: 0).isUnspecified)
        #expect(!IPAddress(v4: 1).isUnspecified)
        #expect(!IPAddress(bits: 1).isUnspecified)
    }

    @Test(
        "127.0.0.0/8 and ::1 are loopback",
        arguments: [
            (IPAddress(v4: 0x7eff_ffff), false), (IPAddress(v4: 0x7f00_0000), true), (IPAddress(v4: 0x7fff_ffff), true),
            (IPAddress(v4: 0x8000_0000), false), (IPAddress(bits: 1), true), (IPAddress(bits: 2), false),
        ])
    func loopback(address: IPAddress, expected: Bool) { #expect(address.isLoopback == expected) }

    @Test(
        "224.0.0.0/4 and ff00::/8 are multicast",
        arguments: [
            (IPAddress(v4: 0xdfff_ffff), false), (IPAddress(v4: 0xe000_0000), true), (IPAddress(v4: 0xefff_ffff), true),
            (IPAddress(v4: 0xf000_0000), false), (IPAddress(bits: 0xff02 << 112 | 1), true),
            (IPAddress(bits: 0xfeff << 112), false),
        ])
    func multicast(address: IPAddress, expected: Bool) { #expect(address.isMulticast == expected) }

    @Test(
        "169.254.0.0/16 and fe80::/10 are link-local",
        arguments: [
            (IPAddress(v4: 0xa9fd_ffff), false), (IPAddress(v4: 0xa9fe_0000), true), (IPAddress(v4: 0xa9fe_ffff), true),
            (IPAddress(v4: 0xa9ff_0000), false), (IPAddress(bits: 0xfe80 << 112 | 1), true),
            (IPAddress(bits: 0xfebf << 112), true),
            (IPAddress(bits: 0xfec0 << 112), false), (IPAddress(bits: 0xfe7f << 112), false),
        ])
    func linkLocal(address: IPAddress, expected: Bool) { #expect(address.isLinkLocal == expected) }
}
