import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// Which packets pass, which flows may begin, and what is left when they end.
struct NATTests {
    private static func tcp(_ client: Int, port: UInt16 = 5000, remote: Int = 0, flags: UInt8 = 2) -> [UInt8] {
        TestPacket.tcp(
            from: [100, 64, UInt8(client >> 8), UInt8(client & 255)], port,
            to: [203, 0, UInt8(remote >> 8), UInt8(remote & 255)], 443, flags: flags
        ).octets
    }

    private static func answer(to outside: UInt16, remote: Int = 0, flags: UInt8 = 0x12) -> [UInt8] {
        TestPacket.tcp(
            from: [203, 0, UInt8(remote >> 8), UInt8(remote & 255)], 443, to: TestPacket.exit4, outside, flags: flags
        ).octets
    }

    @Test func `of random packets from outside none passes that the tailnet did not open`() throws {
        var random = RandomNumbers(seed: 41)
        var translator = try Translator(flows: 64, range: 1000...1063)
        // Sixteen flows to sixteen remotes: ports are few, so that random packets hit them often.
        var names: Set<FlowKey> = []
        for remote in 0..<16 {
            let outcome = translator.egress(Self.tcp(remote, remote: remote))
            let port = try #require(outcome.outsidePort)
            names.insert(
                FlowKey(
                    local: IPAddress(TestPacket.exit4), remote: IPAddress([203, 0, 0, UInt8(remote)]), localPort: port,
                    remotePort: 443, transport: .tcp))
        }
        var passed = 0
        var wrong = 0
        for _ in 0..<20_000 {
            let source = [203, 0, 0, UInt8.random(in: 0..<20, using: &random)]
            let destination =
                Bool.random(using: &random) ? TestPacket.exit4 : [100, 64, 0, UInt8.random(in: 0..<4, using: &random)]
            let port = UInt16.random(in: 995...1070, using: &random)
            let remotePort: UInt16 = Bool.random(using: &random) ? 443 : 80
            let packet: TestPacket
            switch Int.random(in: 0..<6, using: &random) {
            case 0..<3:
                packet = .tcp(
                    from: source, remotePort, to: destination, port, flags: UInt8.random(in: 0...255, using: &random))
            case 3: packet = .udp(from: source, remotePort, to: destination, port)
            case 4:
                packet = .echo(from: source, to: destination, identifier: port, isReply: Bool.random(using: &random))
            default:
                packet = .unreachable(
                    from: TestPacket.router4, to: destination,
                    quoting: TestPacket.udp(from: destination, port, to: source, remotePort).octets)
            }
            let key = FlowKey.inbound(try packet.octets.summary())
            let isOurs = names.contains(key)
            let outcome = translator.ingress(packet.octets)
            if (outcome.octets != nil) != isOurs { wrong += 1 }
            if isOurs { passed += 1 }
        }
        #expect(wrong == 0)
        #expect(passed > 10)
    }

    @Test func `random octets from either side never become a flow or pass from outside`() throws {
        var random = RandomNumbers(seed: 42)
        var translator = try Translator(flows: 64)
        var passed = 0
        for _ in 0..<20_000 {
            var octets = random.octets(Int.random(in: 0...80, using: &random))
            if !octets.isEmpty { octets[0] = [0x45, 0x46, 0x60, octets[0]].randomElement(using: &random) ?? 0 }
            if translator.ingress(octets).octets != nil { passed += 1 }
        }
        #expect(passed == 0)
        let live = translator.nat.flows.live
        #expect(live == 0)
    }

    @Test(arguments: [Transport.tcp, .udp, .icmp])
    func `a full range is a refusal at the last number, and can be had again when one flow ends`(transport: Transport)
        throws
    {
        var translator = try Translator(flows: 256, range: 1000...1049)
        func packet(_ client: Int, flags: UInt8 = 2) -> [UInt8] {
            let source: [UInt8] = [100, 64, 0, UInt8(client)]
            return switch transport {
            case .tcp: Self.tcp(client, flags: flags)
            case .udp: TestPacket.udp(from: source, 5000, to: [203, 0, 0, 0], 443).octets
            default: TestPacket.echo(from: source, to: [203, 0, 0, 0], identifier: 5000).octets
            }
        }
        var ports: [UInt16?] = []
        for client in 0..<50 { ports.append(translator.egress(packet(client)).outsidePort) }
        #expect(Set(ports.compactMap { $0 }) == Set(1000...1049))
        for client in 50..<60 {
            let refused = translator.egress(packet(client))
            #expect(refused == .dropped(.refused(.bindingsExhausted)))
        }
        let live = translator.nat.flows.live
        #expect(live == 50)
        // One flow lives on, all others end.
        translator.now += 50
        _ = translator.egress(packet(7))
        translator.advance(to: 1000 + FlowState.opening.timeout(transport))
        let survivors = translator.nat.flows.live
        #expect(survivors == 1)
        let again = translator.egress(packet(55))
        #expect(again.outsidePort != nil)
    }

    @Test func `a table full of conversations refuses a new one and keeps all of them`() throws {
        var translator = try Translator(flows: 100)
        for client in 0..<100 {
            let outside = try translator.open(Self.tcp(client))
            _ = translator.ingress(Self.answer(to: outside))
            _ = translator.egress(Self.tcp(client, flags: 0x10))
        }
        let refused = translator.egress(Self.tcp(100))
        #expect(refused == .dropped(.refused(.flowTableFull)))
        #expect(translator.statistics.flowsEvicted == 0)
        #expect(translator.flows.allSatisfy { $0.state == .established })
        let lent = translator.nat.bindings.inUse
        #expect(lent == 100)
        // The others still pass.
        let known = translator.egress(Self.tcp(42, flags: 0x10))
        #expect(known.octets != nil)
    }

    @Test func `no flow gives way to a beginning that finds no port`() throws {
        var translator = try Translator(flows: 64, range: 1000...1009)
        for client in 0..<54 { _ = translator.egress(Self.tcp(client, remote: 1 + client / 10)) }
        translator.now += 1
        for client in 0..<10 { _ = translator.egress(Self.tcp(client)) }
        let refused = translator.egress(Self.tcp(10))
        #expect(refused == .dropped(.refused(.bindingsExhausted)))
        let live = translator.nat.flows.live
        #expect(live == 64)
        #expect(translator.statistics.flowsEvicted == 0)
    }

    @Test func `a flood of beginnings replaces beginnings only`() throws {
        var translator = try Translator(flows: 64)
        var established: [UInt16] = []
        for client in 0..<30 {
            let outside = try translator.open(Self.tcp(client))
            _ = translator.ingress(Self.answer(to: outside))
            _ = translator.egress(Self.tcp(client, flags: 0x10))
            established.append(outside)
        }
        for client in 1000..<3000 {
            translator.now += 1
            let outcome = translator.egress(Self.tcp(client))
            if outcome.octets == nil { Issue.record("client \(client): \(outcome)") }
        }
        let passing = established.count { translator.ingress(Self.answer(to: $0, flags: 0x10)).octets != nil }
        #expect(passing == 30)
        #expect(translator.statistics.flowsEvicted == 2000 - 34)
        #expect(translator.statistics.flowsOpened == 2030)
    }

    @Test func `when everything has ended nothing is left, and everything can be had again`() throws {
        var random = RandomNumbers(seed: 43)
        var translator = try Translator(flows: 128, range: 1000...1099)
        for _ in 0..<3 {
            for _ in 0..<3000 {
                let client = Int.random(in: 0..<400, using: &random)
                let kind = RoundTripTests.Kind.allCases.randomElement(using: &random) ?? .tcp
                let remote: [UInt8] = [203, 0, 0, UInt8.random(in: 0..<5, using: &random)]
                let packet = kind.packet(
                    [100, 64, UInt8(client >> 8), UInt8(client & 255)], 7, remote, 443, isAnswer: false, payload: [])
                if let outside = translator.egress(packet.octets, checksum: kind.pending).outsidePort,
                    Bool.random(using: &random)
                {
                    let answer = kind.packet(remote, 443, TestPacket.exit4, outside, isAnswer: true, payload: [])
                    _ = translator.ingress(answer.octets, checksum: kind.pending)
                }
                translator.advance(to: translator.now + (Int.random(in: 0..<40, using: &random) == 0 ? 30 : 0))
            }
            translator.advance(to: translator.now + 8000)
            let live = translator.nat.flows.live
            let inUse = translator.nat.bindings.inUse
            #expect(live == 0)
            #expect(inUse == 0)
            #expect(translator.liveWords.openPorts(.tcp).isEmpty && translator.liveWords.openPorts(.udp).isEmpty)
            #expect(translator.liveWords.openQueries.isEmpty)
            let ended = translator.statistics.flowsExpired + translator.statistics.flowsEvicted
            #expect(translator.statistics.flowsOpened == ended)
            // Every slot, at once.
            for remote in 0..<2 { for client in 0..<64 { _ = translator.egress(Self.tcp(client, remote: remote)) } }
            let refilled = translator.nat.flows.live
            #expect(refilled == 128)
            translator.advance(to: translator.now + 8000)
        }
    }

    @Test func `a flow ends after its time and not before`() throws {
        for (answers, timeout) in [(0, UInt32(240)), (1, 240), (2, 7440)] {
            var translator = try Translator()
            let outside = try translator.open(Self.tcp(1))
            if answers > 0 { _ = translator.ingress(Self.answer(to: outside)) }
            if answers > 1 { _ = translator.egress(Self.tcp(1, flags: 0x10)) }
            translator.advance(to: 1000 + timeout - 1)
            let before = translator.nat.flows.live
            translator.advance(to: 1000 + timeout)
            let after = translator.nat.flows.live
            #expect((before, after) == (1, 0))
        }
    }

    @Test func `closing a long conversation brings its end nearer`() throws {
        var translator = try Translator()
        let outside = try translator.open(Self.tcp(1))
        _ = translator.ingress(Self.answer(to: outside))
        _ = translator.egress(Self.tcp(1, flags: 0x11))
        _ = translator.ingress(Self.answer(to: outside, flags: 0x11))
        translator.advance(to: 1240)
        let live = translator.nat.flows.live
        #expect(live == 0)
    }

    /// Loopback, unspecified, this network, multicast, broadcast, link-local, reserved; the node's own, which reach it
    /// another way; the exit address, of which no port is lent.
    @Test(
        arguments: [
            [127, 0, 0, 1], [0, 0, 0, 0], [0, 1, 2, 3], [224, 0, 0, 1], [239, 255, 255, 250], [255, 255, 255, 255],
            [169, 254, 1, 1], [240, 0, 0, 1], TestPacket.node4, TestPacket.exit4,
            [UInt8](repeating: 0, count: 16), [UInt8](repeating: 0, count: 15) + [1],
            [0xff, 2] + [UInt8](repeating: 0, count: 13) + [1], [0xfe, 0x80] + [UInt8](repeating: 0, count: 13) + [1],
            TestPacket.node6, TestPacket.exit6,
        ] as [[UInt8]])
    func `no flow begins from or to an address that no router forwards`(address: [UInt8]) throws {
        var translator = try Translator()
        let isV4 = address.count == 4
        for packet in [
            TestPacket.udp(from: address, 1, to: isV4 ? TestPacket.remote4 : TestPacket.remote6, 2),
            .udp(from: isV4 ? TestPacket.client4 : TestPacket.client6, 1, to: address, 2),
        ] {
            let outcome = translator.egress(packet.octets)
            #expect(outcome == .dropped(.refused(.unforwardableAddress)))
        }
        let live = translator.nat.flows.live
        #expect(live == 0)
    }

    /// The VPN's own resolver, a CGNAT address behind the VPN, private networks, documentation.
    @Test(
        arguments: [
            [10, 64, 0, 1], [100, 64, 0, 23], [192, 168, 1, 1], [172, 16, 0, 1], [198, 51, 100, 7],
            [0xfd, 0, 0, 0x64] + [UInt8](repeating: 0, count: 11) + [1],
        ] as [[UInt8]])
    func `a private address behind the VPN is a remote like any other`(address: [UInt8]) throws {
        var translator = try Translator()
        let isV4 = address.count == 4
        let client = isV4 ? TestPacket.client4 : TestPacket.client6
        let outside = try translator.open(TestPacket.udp(from: client, 5000, to: address, 53).octets)
        let back = translator.ingress(
            TestPacket.udp(from: address, 53, to: isV4 ? TestPacket.exit4 : TestPacket.exit6, outside).octets)
        #expect(
            back == .forwarded(TestPacket.udp(from: address, 53, to: client, 5000).with { $0.hopLimit = 63 }.octets))
    }

    @Test func `a probe that ends here or does not fit begins no flow`() throws {
        var translator = try Translator(outside: .outside(mtu: 1280))
        let probe = TestPacket.udp(from: TestPacket.client4, 1, to: TestPacket.remote4, 2).with { $0.hopLimit = 1 }
        let long = TestPacket.udp(
            from: TestPacket.client6, 1, to: TestPacket.remote6, 2, payload: .init(repeating: 0, count: 1233))
        let outcomes = [translator.egress(probe.octets), translator.egress(long.octets)]
        #expect(outcomes == [.dropped(.refused(.hopLimitExceeded)), .dropped(.refused(.packetTooBig))])
        let live = translator.nat.flows.live
        #expect(live == 0)
    }

    @Test func `from outside the flow is asked for before hops and length are looked at`() throws {
        var translator = try Translator(inside: .inside(mtu: 1280))
        let outside = try translator.open(
            TestPacket.udp(from: TestPacket.client4, 1, to: TestPacket.remote4, 2).octets)
        func answer(to port: UInt16, hops: UInt8, size: Int) -> [UInt8] {
            TestPacket.udp(
                from: TestPacket.remote4, 2, to: TestPacket.exit4, port, payload: .init(repeating: 0, count: size)
            ).with { ($0.hopLimit, $0.mayBeFragmented) = (hops, false) }.octets
        }
        for (hops, size, rule) in [
            (UInt8(1), 10, DropReason.Rule.hopLimitExceeded), (0, 10, .hopLimitExceeded), (64, 1300, .packetTooBig),
        ] {
            let known = translator.ingress(answer(to: outside, hops: hops, size: size))
            let unknown = translator.ingress(answer(to: outside &+ 1, hops: hops, size: size))
            #expect(known == .dropped(.refused(rule)))
            #expect(unknown == .dropped(.refused(.noFlow)))
        }
    }

    @Test func `another exit address ends the flows of its family, and of no other`() throws {
        var translator = try Translator()
        for client in 0..<30 { _ = try translator.open(Self.tcp(client)) }
        for port in UInt16(1)...20 {
            _ = try translator.open(TestPacket.udp(from: TestPacket.client6, port, to: TestPacket.remote6, 2).octets)
        }
        let elsewhere: [UInt8] = [10, 64, 0, 99]
        let other = Interface(v4: IPAddress(elsewhere), v6: IPAddress(TestPacket.exit6), mtu: 1400)
        let change = translator.nat.replace(.outside, by: other)
        #expect(change == 30)
        let left = (live: translator.nat.flows.live, inUse: translator.nat.bindings.inUse)
        #expect(left == (20, 20))
        #expect(translator.liveWords.openPorts(.tcp).isEmpty)
        #expect(translator.nat.flowsFlushed == 30)

        // What was known before goes on, what comes now leaves by the new address.
        let known = translator.egress(TestPacket.udp(from: TestPacket.client6, 7, to: TestPacket.remote6, 2).octets)
        #expect(known.octets != nil)
        let begun = translator.egress(Self.tcp(1)).octets
        #expect(begun?[12..<16] == elsewhere[...])

        let same = translator.nat.replace(.outside, by: other)
        #expect(same == 0)
        let tailnet = translator.nat.replace(.inside, by: Interface(v4: nil, v6: nil, mtu: 1280))
        #expect(tailnet == 0)
        let none = translator.nat.replace(.outside, by: Interface(v4: nil, v6: nil, mtu: 1400))
        #expect(none == 0, "they may come back")
        let refused = translator.egress(Self.tcp(1))
        let known4 = translator.egress(Self.tcp(1, flags: 0x10))
        #expect(refused == .dropped(.refused(.noExitAddress)) && known4 == refused)
        let back = translator.nat.replace(.outside, by: other)
        let goesOn = translator.egress(Self.tcp(1, flags: 0x10))
        #expect(back == 0 && goesOn.octets != nil)
        translator.advance(to: translator.now + 8000)
        let ended = translator.statistics.flowsExpired + translator.statistics.flowsEvicted
        #expect(translator.statistics.flowsOpened == ended + translator.nat.flowsFlushed)
    }

    @Test(arguments: [true, false])
    func `two ends that send their SYN at the same time meet`(isV4: Bool) throws {
        let client = isV4 ? TestPacket.client4 : TestPacket.client6
        let remote = isV4 ? TestPacket.remote4 : TestPacket.remote6
        let exit = isV4 ? TestPacket.exit4 : TestPacket.exit6
        var translator = try Translator()
        let outside = try translator.open(TestPacket.tcp(from: client, 5000, to: remote, 443, flags: 2).octets)
        // RFC 5382 REQ-2: the other SYN, from the very remote that was asked, is let in.
        let crossing = translator.ingress(TestPacket.tcp(from: remote, 443, to: exit, outside, flags: 2).octets)
        #expect(
            crossing
                == .forwarded(
                    TestPacket.tcp(from: remote, 443, to: client, 5000, flags: 2).with { $0.hopLimit = 63 }.octets))
        for (isOut, flags, state) in [
            (true, UInt8(0x12), FlowState.established), (false, 0x12, .established), (true, 0x10, .established),
            (false, 0x11, .remoteFinished), (true, 0x11, .closing),
        ] {
            let packet =
                isOut
                ? translator.egress(TestPacket.tcp(from: client, 5000, to: remote, 443, flags: flags).octets)
                : translator.ingress(TestPacket.tcp(from: remote, 443, to: exit, outside, flags: flags).octets)
            #expect(packet.octets != nil)
            #expect(translator.flows.map(\.state) == [state])
        }
        // Another port of the remote is another remote.
        let stranger = translator.ingress(TestPacket.tcp(from: remote, 444, to: exit, outside, flags: 2).octets)
        #expect(stranger == .dropped(.refused(.noFlow)))
    }

    @Test func `a reset or an echo reply begins nothing`() throws {
        var translator = try Translator()
        let reset = translator.egress(Self.tcp(1, flags: 4))
        #expect(reset == .dropped(.refused(.noFlow)))
        let reply = translator.egress(
            TestPacket.echo(from: TestPacket.client4, to: TestPacket.remote4, identifier: 3, isReply: true).octets)
        #expect(reply == .dropped(.refused(.unsupportedTransport)))
    }

    /// Timestamp request, address mask request, router solicitation; echo reply; neighbour solicitation, listener report.
    @Test(arguments: [13, 17, 10, 0], [true, false])
    func `an echo flow with the identifier zero lets no other message through`(type: UInt8, isV4: Bool) throws {
        let (client, remote, exit) = TestPacket.ends(isV4: isV4)
        var translator = try Translator(range: 0...0)
        let request = TestPacket.echo(from: client, to: remote, identifier: 0)
        let outside = try translator.open(request.octets)
        let stranger = isV4 ? type : type == 0 ? 129 : type + 122
        let out = translator.egress(request.with { $0.transport[0] = stranger }.octets)
        #expect(out == .dropped(.refused(.unsupportedTransport)))
        let reply = TestPacket.echo(from: remote, to: exit, identifier: outside, isReply: true)
        let back = translator.ingress(reply.octets)
        #expect(back.octets != nil)
        guard type != 0 else { return }
        let answer = translator.ingress(reply.with { $0.transport[0] = stranger }.octets)
        #expect(answer == .dropped(.refused(.noFlow)))
    }

    @Test func `without an address of its family a packet has no exit`() throws {
        var translator = try Translator(outside: Interface(v4: IPAddress(TestPacket.exit4), v6: nil, mtu: 1420))
        let refused = translator.egress(TestPacket.udp(from: TestPacket.client6, 1, to: TestPacket.remote6, 2).octets)
        #expect(refused == .dropped(.refused(.noExitAddress)))
        let forwarded = translator.egress(TestPacket.udp(from: TestPacket.client4, 1, to: TestPacket.remote4, 2).octets)
        #expect(forwarded.octets != nil)
        let back = translator.ingress(
            TestPacket.udp(from: TestPacket.remote6, 2, to: .init(repeating: 0, count: 16), 1).octets)
        #expect(back == .dropped(.refused(.noFlow)))
    }
}
