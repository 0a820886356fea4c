import PacketParse
import TestSupport
import Testing

@testable import DataPlane

@Suite(.serialized) struct StatisticsTests {
    /// All that can be handed to a port.
    private static let errands: [Errand] =
        Way.allCases.flatMap { way in
            [Transport.tcp, .udp, .icmp, .icmpv6, .other].flatMap { transport in
                [true, false].map { Errand(way, transport, isV4: $0) }
            }
        } + ICMPError.allCases.map { Errand($0) }

    @Test func `each errand has a place of its own, in the six bits that a queued packet's tag has for it`() {
        #expect(Set(Self.errands.map(\.place)).count == Self.errands.count)
        #expect(Self.errands.allSatisfy { $0.place < 64 && $0.index == Int($0.place) })
        #expect(Self.errands.filter(\.isError).count == ICMPError.allCases.count)
    }

    @Test func `counts are what a dictionary of all kinds says, and what is withdrawn was never there`() {
        struct Kind: Hashable {
            var way: Way
            var isV4: Bool
            var transport: CountedTransport
        }
        var random = RandomNumbers(seed: 61)
        var statistics = Statistics()
        var model: [Kind: (packets: UInt64, bytes: UInt64, superPackets: UInt64)] = [:]
        for _ in 0..<5000 {
            let way = Way.allCases.randomElement(using: &random) ?? .egress
            let transport = [Transport.tcp, .udp, .icmp, .icmpv6, .other].randomElement(using: &random) ?? .tcp
            let (isV4, isSuperPacket) = (Bool.random(using: &random), Bool.random(using: &random))
            let bytes = Int.random(in: 20...65_535, using: &random)
            let errand = Errand(way, transport, isV4: isV4)
            statistics.count(errand, bytes: bytes, isSuperPacket: isSuperPacket)
            if Int.random(in: 0..<4, using: &random) == 0 {
                statistics.withdraw(errand, bytes: bytes, isSuperPacket: isSuperPacket)
                continue
            }
            let counted: CountedTransport =
                switch transport {
                case .tcp: .tcp
                case .udp: .udp
                case .icmp, .icmpv6: .icmp
                case .other: .other
                }
            let kind = Kind(way: way, isV4: isV4, transport: counted)
            let before = model[kind] ?? (0, 0, 0)
            model[kind] = (
                before.packets + 1, before.bytes + UInt64(bytes), before.superPackets + (isSuperPacket ? 1 : 0)
            )
        }
        for way in Way.allCases {
            for isV4 in [true, false] {
                for transport in CountedTransport.allCases {
                    let traffic = statistics.traffic(way, isV4: isV4, transport)
                    let truth = model[Kind(way: way, isV4: isV4, transport: transport)] ?? (0, 0, 0)
                    #expect((traffic.packets, traffic.bytes, traffic.superPackets) == truth)
                }
            }
        }
        func sum(_ way: Way) -> UInt64 { model.filter { $0.key.way == way }.reduce(0) { $0 + $1.value.bytes } }
        #expect(statistics.egress.bytes == sum(.egress))
        #expect(statistics.ingress.bytes == sum(.ingress))
        #expect(statistics.hairpin.bytes == sum(.hairpin))
        #expect(statistics.octetsPassed == sum(.egress) + sum(.ingress) + sum(.hairpin))
    }

    @Test func `an error that is withdrawn counts as suppressed`() {
        var statistics = Statistics()
        for _ in 0..<2 { statistics.count(Errand(.packetTooBig), bytes: 576, isSuperPacket: false) }
        statistics.withdraw(Errand(.packetTooBig), bytes: 576, isSuperPacket: false)
        #expect(statistics.sent(.packetTooBig) == 1)
        #expect(statistics.sent(.timeExceeded) == 0)
        #expect(statistics.errorsSuppressed == 1)
        #expect(statistics.egress.packets + statistics.ingress.packets + statistics.hairpin.packets == 0)
    }

    @Test(arguments: [IOKind.poll, .uring], [DataPlane.Gate.open, .limited(bitsPerSecond: 100_000_000)])
    func `packets are told apart by way, family and transport, whether they waited or not`(
        kind: IOKind, gate: DataPlane.Gate
    ) throws {
        try withLoop(kind) { wires in
            wires.inquiries.set(gate)
            for isV4 in [true, false] {
                let (client, remote, exit) = TestPacket.ends(isV4: isV4)
                let beginnings = [
                    TestPacket.tcp(from: client, 5000, to: remote, 443, flags: 2),
                    TestPacket.udp(from: client, 5000, to: remote, 53, payload: [1]),
                    TestPacket.echo(from: client, to: remote, identifier: 7),
                ]
                for packet in beginnings { wires.inside.send(packet.octets) }
                for _ in beginnings {
                    let out = try #require(try wires.outside.receive()?.summary())
                    let answer =
                        switch out.transport {
                        case .tcp: TestPacket.tcp(from: remote, 443, to: exit, out.sourcePort, flags: 0x12)
                        case .udp: TestPacket.udp(from: remote, 53, to: exit, out.sourcePort, payload: [1, 2])
                        default: TestPacket.echo(from: remote, to: exit, identifier: out.sourcePort, isReply: true)
                        }
                    wires.outside.send(answer.octets)
                    _ = try #require(wires.inside.receive())
                }
                wires.inside.send(TestPacket.udp(from: client, 5000, to: remote, 53, payload: [9, 9]).octets)
                _ = try #require(wires.outside.receive())
            }
            let statistics = try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics })
            for isV4 in [true, false] {
                let header: UInt64 = isV4 ? 20 : 40
                for (transport, packets, bytes) in [
                    (.tcp, 1, header + 20), (.udp, 2, 2 * header + 19), (.icmp, 1, header + 8), (.other, 0, 0),
                ] as [(CountedTransport, UInt64, UInt64)] {
                    let traffic = statistics.traffic(.egress, isV4: isV4, transport)
                    #expect((traffic.packets, traffic.bytes) == (packets, bytes), "\(transport)")
                }
                for (transport, bytes) in [(.tcp, header + 20), (.udp, header + 10), (.icmp, header + 8)]
                    as [(CountedTransport, UInt64)]
                {
                    let traffic = statistics.traffic(.ingress, isV4: isV4, transport)
                    #expect((traffic.packets, traffic.bytes) == (1, bytes), "\(transport)")
                }
            }
            #expect(statistics.egress.packets == 8 && statistics.ingress.packets == 6)
        }
    }

    @Test(arguments: [DataPlane.Gate.open, .limited(bitsPerSecond: 100_000_000)])
    func `fragments count as what they are fragments of`(gate: DataPlane.Gate) throws {
        try withLoop(.poll, outside: .outside(mtu: 576)) { wires in
            wires.inquiries.set(gate)
            let packet = TestPacket.udp(
                from: TestPacket.client4, 5000, to: TestPacket.remote4, 53, payload: .init(repeating: 1, count: 1400))
            wires.inside.send(packet.octets)
            for _ in 0..<3 { _ = try #require(wires.outside.receive()) }
            let statistics = try #require(try wires.inquiries.ask { _, snapshot in snapshot.statistics })
            let udp = statistics.traffic(.egress, isV4: true, .udp)
            // One that does not wait is counted before it is cut.
            #expect(udp.packets == (gate == .open ? 1 : 3))
            #expect(statistics.egress.bytes == udp.bytes && udp.bytes >= 1428)
        }
    }
}
