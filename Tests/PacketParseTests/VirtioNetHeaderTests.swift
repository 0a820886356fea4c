import PacketParse
import Testing

@Suite("The header before a tun's packet")
struct VirtioNetHeaderTests {
    /// As an x86-64 or arm64 kernel writes it before 2,800 octets of TCP over IPv4.
    private let superPacket = Fixture(
        "virtio_tcp4",
        """
        01       (needs checksum)
        81       (TCP over IPv4, ECN)
        34 00    (headers take 52)
        78 05    1,400 octets a segment
        14 00    (covers from octet 20)
        10 00    (field 16 behind it)
        """
    ).octets

    @Test("its fields are in the machine's order")
    func fields() throws {
        let header = try VirtioNetHeader(parsing: superPacket.raw)
        #expect(header.flags == .needsChecksum)
        #expect(header.gsoType.kind == .tcp4)
        #expect(header.gsoType != .tcp4)
        #expect(header.headerLength == 52)
        #expect(header.gsoSize == 1400)
        #expect(header.checksumStart == 20)
        #expect(header.checksumOffset == 16)
    }

    @Test("a pending checksum needs the octets up to its field's end, none needs none")
    func pendingChecksum() throws {
        var header = try VirtioNetHeader(parsing: superPacket.raw)
        #expect(header.pendingChecksumEnd == 20 + 16 + 2)
        (header.checksumStart, header.checksumOffset) = (.max, .max)
        #expect(header.pendingChecksumEnd == 131_072)
        header.flags = .init(rawValue: 2)  // somebody verified it already
        #expect(header.pendingChecksumEnd == 0)
    }

    @Test("written, it is the same ten octets")
    func roundTrip() throws {
        let header = try VirtioNetHeader(parsing: superPacket.raw)
        var octets = [UInt8](repeating: 0xaa, count: 12)
        var span = octets.mutableSpan
        var bytes = unsafe span.mutableBytes
        header.write(into: &bytes)
        #expect(octets == superPacket + [0xaa, 0xaa])
    }

    @Test("an ordinary packet's is all zero")
    func ordinary() {
        var octets = [UInt8](repeating: 0xaa, count: VirtioNetHeader.size)
        var span = octets.mutableSpan
        var bytes = unsafe span.mutableBytes
        VirtioNetHeader().write(into: &bytes)
        #expect(octets == [UInt8](repeating: 0, count: 10))
    }

    @Test("nine octets are too few")
    func short() {
        #expect(throws: ParseError.truncated) { try VirtioNetHeader(parsing: superPacket.raw.extracting(first: 9)) }
    }
}
