import PacketParse
import TestSupport
import Testing

@Suite("The Internet checksum")
struct InternetChecksumTests {
    @Test("the sum is that of 16-bit words, whatever the length")
    func everyLength() {
        var random = RandomNumbers(seed: 1)
        for length in 0...600 {
            let octets = random.octets(length)
            let sum = InternetChecksum.fold(InternetChecksum.sum(octets.raw))
            #expect(sum == naiveSum(octets), "\(length) octets")
        }
    }

    @Test("carries are never lost", arguments: [UInt8(0x00), 0x01, 0x7f, 0x80, 0xfe, 0xff])
    func carries(octet: UInt8) {
        for length in [1, 2, 7, 8, 9, 40, 1500, 65_535] {
            let octets = [UInt8](repeating: octet, count: length)
            #expect(InternetChecksum.fold(InternetChecksum.sum(octets.raw)) == naiveSum(octets), "\(length) octets")
        }
    }

    @Test("sums of pieces of even length chain")
    func pieces() {
        var random = RandomNumbers(seed: 2)
        let octets = random.octets(101)
        for cut in stride(from: 0, through: 100, by: 2) {
            let head = InternetChecksum.sum(octets.raw.extracting(first: cut))
            let both = InternetChecksum.sum(octets.raw.extracting(droppingFirst: cut), from: head)
            #expect(InternetChecksum.fold(both) == naiveSum(octets))
        }
    }

    @Test(
        "folding keeps the residue, and is zero for zero only",
        arguments: [
            UInt64(0), 1, 0xffff, 0x1_0000, 0x1_fffe, 0xffff_ffff, 0xffff_ffff_ffff_0000, .max - 1, .max,
        ])
    func folding(sum: UInt64) {
        let folded = InternetChecksum.fold(sum)
        #expect(UInt64(folded) % 0xffff == sum % 0xffff)
        #expect((folded == 0) == (sum == 0))
    }

    @Test(
        "header, pseudo-header and payload of a sound packet sum to all ones",
        arguments: [
            Fixture.tcp4Syn, .tcp4Data, .udp4, .tcp4RouterAlert, .tcp6Syn, .udp6, .udp6Options, .udp6AtomicFragment,
            .tcp6Authenticated, .tcp6Routed, .icmp6EchoRequest, .icmp6EchoReply, .icmp6PacketTooBig,
        ])
    func soundPackets(fixture: Fixture) throws {
        let packet = try fixture.summary()
        let segment = fixture.octets[packet.transportOffset..<packet.totalLength]
        let pseudo = InternetChecksum.pseudoHeader(
            source: packet.source, destination: packet.destination, protocolNumber: packet.protocolNumber,
            length: segment.count)
        #expect(InternetChecksum.complete(InternetChecksum.sum(Array(segment).raw, from: pseudo)) == 0)
    }

    @Test(
        "ICMPv4 has no pseudo-header",
        arguments: [
            Fixture.icmp4EchoRequest, .icmp4EchoReply, .icmp4FragmentationNeeded, .icmp4TimeExceeded,
        ])
    func icmp(fixture: Fixture) throws {
        let packet = try fixture.summary()
        let message = Array(fixture.octets[packet.transportOffset..<packet.totalLength])
        #expect(InternetChecksum.complete(InternetChecksum.sum(message.raw)) == 0)
    }
}
