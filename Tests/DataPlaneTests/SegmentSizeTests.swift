import PacketParse
import Testing

@testable import DataPlane

/// The segment size that a SYN announces, lowered to what the VPN takes, against packets built with the lower value.
struct SegmentSizeTests {
    /// A SYN whose option stands behind so much padding.
    private static func syn(
        _ size: UInt16, padding: Int, flags: UInt8 = 2, from source: [UInt8], _ port: UInt16, to destination: [UInt8],
        _ other: UInt16
    ) -> TestPacket {
        let options = [UInt8](repeating: 1, count: padding) + [2, 4, UInt8(size >> 8), UInt8(size & 0xff)]
        let padded = options + [UInt8](repeating: 0, count: (4 - options.count % 4) % 4)
        return TestPacket.tcp(from: source, port, to: destination, other, flags: flags, payload: padded).with {
            $0.transport[12] = UInt8((20 + padded.count) / 4) << 4
        }
    }

    @Test(arguments: [0, 1, 2, 3], [true, false])
    func `a SYN and its answer announce no more than fits the VPN, wherever the option stands`(
        padding: Int, isV4: Bool
    ) throws {
        let client = isV4 ? TestPacket.client4 : TestPacket.client6
        let remote = isV4 ? TestPacket.remote4 : TestPacket.remote6
        let exit = isV4 ? TestPacket.exit4 : TestPacket.exit6
        let most: UInt16 = 1400 - (isV4 ? 40 : 60)
        for checksum in [TestPacket.Checksum.right, .partial] {
            let pending: PendingChecksum = checksum == .partial ? .partial : .complete
            for announced in [536, most - 1, most, most + 1, 1460, 65_535] as [UInt16] {
                var translator = try Translator(outside: .outside(mtu: 1400))
                func syn(_ size: UInt16, _ source: [UInt8], _ port: UInt16, _ destination: [UInt8], _ other: UInt16)
                    -> TestPacket
                {
                    Self.syn(
                        size, padding: padding, flags: source == remote ? 0x12 : 2, from: source, port, to: destination,
                        other
                    ).with { $0.checksum = checksum }
                }
                let left = translator.egress(syn(announced, client, 5000, remote, 443).octets, checksum: pending)
                let outside = try #require(left.outsidePort)
                let lowered = min(announced, most)
                #expect(
                    left == .forwarded(syn(lowered, exit, outside, remote, 443).with { $0.hopLimit = 63 }.octets))
                let back = translator.ingress(syn(announced, remote, 443, exit, outside).octets, checksum: pending)
                #expect(
                    back == .forwarded(syn(lowered, remote, 443, client, 5000).with { $0.hopLimit = 63 }.octets))
                // Known by now, and announced again: a retransmission.
                let again = translator.egress(syn(announced, client, 5000, remote, 443).octets, checksum: pending)
                #expect(again == left)
            }
        }
    }

    @Test func `a segment size in a packet that is no SYN, or none at all, is left alone`() throws {
        var translator = try Translator(outside: .outside(mtu: 1400))
        func packet(_ source: [UInt8], _ port: UInt16, _ flags: UInt8) -> TestPacket {
            Self.syn(9000, padding: 0, flags: flags, from: source, port, to: TestPacket.remote4, 443)
        }
        let outside = try translator.open(
            TestPacket.tcp(from: TestPacket.client4, 5000, to: TestPacket.remote4, 443, flags: 2).octets)
        let left = translator.egress(packet(TestPacket.client4, 5000, 0x10).octets)
        #expect(left == .forwarded(packet(TestPacket.exit4, outside, 0x10).with { $0.hopLimit = 63 }.octets))
    }
}
