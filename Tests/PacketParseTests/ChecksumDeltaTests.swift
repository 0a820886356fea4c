import PacketParse
import TestSupport
import Testing

/// The oracle is always the same: change the words, compute anew, compare.
@Suite("A checksum delta")
struct ChecksumDeltaTests {
    /// Where one's complement has its two zeros and its carries.
    static let corners: [UInt16] = [0x0000, 0x0001, 0x7fff, 0x8000, 0xfffe, 0xffff]

    /// The sum of two words, in 32 bits and by division: nothing in common with what is tested.
    private func recomputed(_ words: UInt16...) -> UInt16 {
        let sum = words.reduce(0) { $0 + UInt32($1) }
        return ~UInt16(sum == 0 ? 0 : (sum - 1) % 0xffff + 1)
    }

    @Test("replacing a word is computing anew, in every corner")
    func corners() {
        for old in Self.corners {
            for new in Self.corners {
                // The rest of the packet is never all zero: it holds a protocol number or a version.
                for rest in Self.corners.dropFirst() {
                    var delta = ChecksumDelta()
                    delta.replace(old, with: new)
                    #expect(delta.applied(toComplete: recomputed(old, rest)) == recomputed(new, rest))
                    #expect(delta.inverse.applied(toComplete: recomputed(new, rest)) == recomputed(old, rest))
                    #expect(delta.applied(toPartial: ~recomputed(old, rest)) == ~recomputed(new, rest))
                }
            }
        }
    }

    @Test("replacing two words is computing anew, a million times")
    func millions() {
        var random = RandomNumbers(seed: 3)
        var wrong = 0
        for _ in 0..<1_000_000 {
            let numbers = random.next()
            let (old, new) = (UInt16(truncatingIfNeeded: numbers), UInt16(truncatingIfNeeded: numbers >> 16))
            let (old2, new2) = (UInt16(truncatingIfNeeded: numbers >> 32), UInt16(truncatingIfNeeded: numbers >> 48))
            var delta = ChecksumDelta()
            delta.replace(old, with: new)
            delta.replace(old2, with: new2)
            let before = recomputed(old, old2, 0x4500)
            let after = recomputed(new, new2, 0x4500)
            if delta.applied(toComplete: before) != after || delta.inverse.applied(toComplete: after) != before {
                wrong += 1
            }
        }
        #expect(wrong == 0)
    }

    @Test(
        "a packet with another source address and port has the checksum that one would compute",
        arguments: [
            Fixture.tcp4Syn, .tcp4Data, .udp4, .tcp4RouterAlert, .tcp6Syn, .udp6, .udp6Options, .tcp6Authenticated,
        ])
    func translation(fixture: Fixture) throws {
        let packet = try fixture.summary()
        var random = RandomNumbers(seed: 4)
        for _ in 0..<2_000 {
            let address =
                packet.isV4
                ? IPAddress(v4: UInt32(truncatingIfNeeded: random.next()))
                : IPAddress(bits: UInt128(random.next()) << 64 | UInt128(random.next()))
            let port = UInt16(truncatingIfNeeded: random.next())
            var delta = ChecksumDelta()
            delta.replace(packet.source, with: address)
            delta.replace(packet.sourcePort, with: port)

            let field =
                packet.transportOffset
                + (packet.transport == .tcp ? TCPHeader.Field.checksum : UDPHeader.Field.checksum)
            let old = fixture.octets.raw.word16(at: field)
            var segment = Array(fixture.octets[packet.transportOffset..<packet.totalLength])
            segment[0] = UInt8(port >> 8)
            segment[1] = UInt8(port & 0xff)
            segment[field - packet.transportOffset] = 0
            segment[field - packet.transportOffset + 1] = 0
            let expected = ~naiveSum(pseudoHeader(packet, source: address, length: segment.count) + segment)
            #expect(delta.applied(toComplete: old) == expected)
            if packet.transport == .udp {
                #expect(delta.applied(toUDP: old) == (expected == 0 ? 0xffff : expected))
            }
        }
    }

    @Test(
        "a pending checksum takes the new addresses and leaves the ports to whoever completes it",
        arguments: [
            Fixture.tcp4Syn, .tcp6Syn, .udp6,
        ])
    func partial(fixture: Fixture) throws {
        let packet = try fixture.summary()
        let address = packet.isV4 ? IPAddress(v4: 0x0a40_0002) : IPAddress(bits: 0xfd00 << 112 | 2)
        let length = packet.totalLength - packet.transportOffset
        let pending = naiveSum(pseudoHeader(packet, source: packet.source, length: length))
        var delta = ChecksumDelta()
        delta.replace(packet.source, with: address)
        let updated = delta.applied(toPartial: pending)
        #expect(updated == naiveSum(pseudoHeader(packet, source: address, length: length)))
        #expect(delta.inverse.applied(toPartial: updated) == pending)
    }

    @Test("no checksum stays no checksum, and a computed zero is sent as all ones")
    func udpZero() {
        var delta = ChecksumDelta()
        delta.replace(0x0001, with: 0x0002)
        #expect(delta.applied(toUDP: 0) == 0)
        // 1 + 0xfffd sums to 0xfffe, whose complement is 1; 2 + 0xfffd sums to all ones, whose complement is 0.
        #expect(delta.applied(toComplete: 0x0001) == 0)
        #expect(delta.applied(toUDP: 0x0001) == 0xffff)
    }

    @Test("nothing replaced changes nothing")
    func identity() {
        for checksum in UInt16.min ... .max {
            guard ChecksumDelta().applied(toComplete: checksum) == checksum else {
                Issue.record("\(checksum) changed")
                return
            }
        }
    }

    private func pseudoHeader(_ packet: PacketSummary, source: IPAddress, length: Int) -> [UInt8] {
        let width = packet.isV4 ? 4 : 16
        let addresses = [source, packet.destination].flatMap { address in
            (0..<width).map { UInt8(truncatingIfNeeded: address.bits >> UInt128(8 * (width - 1 - $0))) }
        }
        return addresses + [0, packet.protocolNumber, UInt8(length >> 8), UInt8(length & 0xff)]
    }
}
