import PacketParse
import TestSupport
import Testing

@Suite("A flow key")
struct FlowKeyTests {
    static let seed = HashSeed(first: 0x0123_4567_89ab_cdef, second: 0xfedc_ba98_7654_3211)

    /// A key by its 304 bits, for tests that go through them.
    private func key(_ local: UInt128, _ remote: UInt128, _ ports: UInt32, _ transport: Transport = .tcp) -> FlowKey {
        FlowKey(
            local: IPAddress(bits: local), remote: IPAddress(bits: remote),
            localPort: UInt16(truncatingIfNeeded: ports >> 16),
            remotePort: UInt16(truncatingIfNeeded: ports), transport: transport)
    }

    @Test(
        "request and answer have the same key",
        arguments: [
            (Fixture.icmp4EchoRequest, Fixture.icmp4EchoReply), (.icmp6EchoRequest, .icmp6EchoReply),
        ])
    func bothDirections(request: Fixture, reply: Fixture) throws {
        let out = FlowKey.outbound(try request.summary())
        let back = FlowKey.inbound(try reply.summary())
        #expect(out == back)
        #expect(out.hash(seed: Self.seed) == back.hash(seed: Self.seed))
        #expect(out.localPort == 0x5a17)
    }

    @Test("the packet that an ICMP error quotes has the key of its flow")
    func quoted() throws {
        let error = try Fixture.icmp4TimeExceeded.summary()
        let octets = Fixture.icmp4TimeExceeded.octets
        let quoted = try PacketSummary(quoted: octets.raw.extracting(droppingFirst: error.quoteOffset))
        #expect(FlowKey.outbound(quoted) == FlowKey.outbound(try Fixture.tcp4Syn.summary()))
    }

    @Test("one bit more or less is another key")
    func equality() {
        var random = RandomNumbers(seed: 5)
        let local = UInt128(random.next()) << 64 | UInt128(random.next())
        let remote = UInt128(random.next()) << 64 | UInt128(random.next())
        let ports = UInt32(truncatingIfNeeded: random.next())
        let base = key(local, remote, ports)
        #expect(base == key(local, remote, ports))
        for bit in 0..<128 {
            #expect(base != key(local ^ (1 << UInt128(bit)), remote, ports))
            #expect(base != key(local, remote ^ (1 << UInt128(bit)), ports))
        }
        for bit in 0..<32 { #expect(base != key(local, remote, ports ^ (1 << UInt32(bit)))) }
        #expect(base != key(local, remote, ports, .udp))
    }

    @Test("every bit of the key moves every bit of the hash about half of the time")
    func avalanche() {
        var random = RandomNumbers(seed: 6)
        let rounds = 400
        // Six standard deviations of a fair coin thrown `rounds` times.
        let allowed = 6 * (Double(rounds) / 4).squareRoot()
        var flips = [Int](repeating: 0, count: 288 * 64)
        for _ in 0..<rounds {
            let local = UInt128(random.next()) << 64 | UInt128(random.next())
            let remote = UInt128(random.next()) << 64 | UInt128(random.next())
            let ports = UInt32(truncatingIfNeeded: random.next())
            let base = key(local, remote, ports).hash(seed: Self.seed)
            for bit in 0..<288 {
                let changed =
                    switch bit {
                    case 0..<128: key(local ^ (1 << UInt128(bit)), remote, ports)
                    case 128..<256: key(local, remote ^ (1 << UInt128(bit - 128)), ports)
                    default: key(local, remote, ports ^ (1 << UInt32(bit - 256)))
                    }
                var difference = base ^ changed.hash(seed: Self.seed)
                while difference != 0 {
                    flips[bit * 64 + difference.trailingZeroBitCount] += 1
                    difference &= difference - 1
                }
            }
        }
        let worst = flips.map { abs(Double($0) - Double(rounds) / 2) }.max() ?? .infinity
        #expect(worst < allowed)
    }

    @Test(
        "keys as real clients make them spread evenly over buckets, by any bits of the hash",
        arguments: [0, 16, 32, 48])
    func buckets(shift: Int) {
        // One client, one server, ports counting up; then many neighbours towards one server.
        let ports = (UInt32(0)..<32_768).map { key(0xffff_0a00_0001, 0xffff_c000_0201, (16_384 + $0) << 16 | 443) }
        let neighbours = (UInt128(0)..<32_768).map {
            key(0xfd7a << 112 | $0, 0x2001_0db8 << 96 | 2, 40_000 << 16 | 443)
        }
        for keys in [ports, neighbours] {
            var counts = [Int](repeating: 0, count: 1024)
            for key in keys { counts[Int(key.hash(seed: Self.seed) >> UInt64(shift) & 1023)] += 1 }
            let mean = Double(keys.count) / Double(counts.count)
            let chiSquare = counts.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) / mean }
            // 1,023 degrees of freedom: mean 1,023, standard deviation 45.
            #expect(chiSquare < 1023 + 6 * 45)
        }
    }

    @Test("a hundred thousand neighbouring keys do not collide in 64 bits")
    func collisions() {
        var seen = Set<UInt64>()
        for host in UInt128(0)..<316 {
            for port in UInt32(0)..<316 {
                seen.insert(key(0xffff_6440_0000 + host, 0xffff_0808_0808, port << 16 | 53, .udp).hash(seed: Self.seed))
            }
        }
        #expect(seen.count == 316 * 316)
    }

    @Test("another seed is another order")
    func seeds() {
        let keys = (UInt32(0)..<1024).map { key(0xffff_0a00_0001, 0xffff_c000_0201, $0) }
        for other in [
            HashSeed(first: Self.seed.first ^ 1, second: Self.seed.second),
            HashSeed(first: Self.seed.first, second: Self.seed.second ^ 1),
        ] {
            let differing = keys.reduce(0) { sum, key in
                sum + (key.hash(seed: Self.seed) ^ key.hash(seed: other)).nonzeroBitCount
            }
            // Half of the 65,536 bits differ, give or take six standard deviations.
            #expect(abs(differing - 32_768) < 6 * 128)
        }
        #expect(HashSeed.random().first != HashSeed.random().first)
    }

    @Test("the way there and the way back of the same pair are two keys with two hashes")
    func mirrored() {
        let there = key(0xffff_0a00_0001, 0xffff_0a00_0002, 5 << 16 | 7)
        let back = key(0xffff_0a00_0002, 0xffff_0a00_0001, 7 << 16 | 5)
        #expect(there != back)
        #expect(there.hash(seed: Self.seed) != back.hash(seed: Self.seed))
    }
}
