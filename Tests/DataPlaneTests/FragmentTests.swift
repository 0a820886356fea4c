import PacketParse
import Testing

@testable import DataPlane

/// Datagrams in pieces: only the first carries the ports, all must take the same way.
struct FragmentTests {
    private static func datagram(_ source: [UInt8], _ port: UInt16, _ destination: [UInt8], _ remotePort: UInt16)
        -> TestPacket
    {
        .udp(from: source, port, to: destination, remotePort, payload: (0..<3001).map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test(arguments: [8, 504, 1480], [true, false])
    func `fragments leave and come back as the fragments of the translated datagram`(size: Int, isV4: Bool) throws {
        let (client, remote, exit) = TestPacket.ends(isV4: isV4)
        var translator = try Translator()
        let sent = Self.datagram(client, 5000, remote, 443).fragments(of: size)
        var outcomes: [Outcome] = []
        for fragment in sent { outcomes.append(translator.egress(fragment)) }
        let outside = try #require(outcomes[0].outsidePort)
        let expected = Self.datagram(exit, outside, remote, 443).with { $0.hopLimit = 63 }.fragments(of: size)
        #expect(outcomes == expected.map { .forwarded($0) })

        outcomes = []
        for fragment in Self.datagram(remote, 443, exit, outside).fragments(of: size) {
            outcomes.append(translator.ingress(fragment))
        }
        let back = Self.datagram(remote, 443, client, 5000).with { $0.hopLimit = 63 }.fragments(of: size)
        #expect(outcomes == back.map { .forwarded($0) })
        let flows = translator.flows
        #expect(flows.map(\.egressPackets) == [UInt64(sent.count)])
    }

    @Test(arguments: [true, false])
    func `a later fragment without its first is dropped, in either direction`(isV4: Bool) throws {
        let (client, remote, exit) = TestPacket.ends(isV4: isV4)
        var translator = try Translator()
        let pieces = Self.datagram(client, 5000, remote, 443).fragments(of: 1480)
        let early = translator.egress(pieces[1])
        #expect(early == .dropped(.refused(.unknownFragment)))
        let outside = try translator.open(pieces[0])
        let later = translator.egress(pieces[1])
        #expect(later.octets != nil)

        // The other direction knows nothing of it; nor does another datagram.
        let answer = Self.datagram(remote, 443, exit, outside).fragments(of: 1480)
        let unknown = translator.ingress(answer[1])
        #expect(unknown == .dropped(.refused(.unknownFragment)))
        let other = Self.datagram(client, 5000, remote, 443).with { $0.identification = 2 }.fragments(of: 1480)
        let another = translator.egress(other[2])
        #expect(another == .dropped(.refused(.unknownFragment)))
        // After half a minute nobody waits for the rest.
        translator.now += 31
        let late = translator.egress(pieces[2])
        #expect(late == .dropped(.refused(.unknownFragment)))
    }

    @Test func `a first fragment from outside that belongs to no flow opens no way for the rest`() throws {
        var translator = try Translator()
        let pieces = Self.datagram(TestPacket.remote4, 443, TestPacket.exit4, 20000).fragments(of: 1480)
        let first = translator.ingress(pieces[0])
        let second = translator.ingress(pieces[1])
        #expect(first == .dropped(.refused(.noFlow)))
        #expect(second == .dropped(.refused(.unknownFragment)))
    }

    @Test func `later fragments of a flow that gave way reach no other client`() throws {
        var translator = try Translator(flows: 1)
        let other: [UInt8] = [100, 64, 0, 99]
        let outside = try translator.open(Self.datagram(TestPacket.client4, 5000, TestPacket.remote4, 443).octets)
        let pieces = Self.datagram(TestPacket.remote4, 443, TestPacket.exit4, outside).fragments(of: 1480)
        let first = translator.ingress(pieces[0])
        #expect(first.octets != nil)
        // Another client's flow to the same remote takes the slot.
        let taken = translator.egress(Self.datagram(other, 5000, TestPacket.remote4, 443).octets)
        #expect(taken.octets != nil)
        let second = translator.ingress(pieces[1])
        #expect(second == .dropped(.refused(.unknownFragment)))
    }

    @Test func `later fragments of a flow that has ended revive nothing`() throws {
        var translator = try Translator()
        let pieces = Self.datagram(TestPacket.client4, 5000, TestPacket.remote4, 443).fragments(of: 1480)
        let outside = try translator.open(pieces[0])
        // An answer, so that the client's next fragment would bring the flow into another state.
        _ = translator.ingress(Self.datagram(TestPacket.remote4, 443, TestPacket.exit4, outside).octets)
        // By itself a flow outlives what is remembered of its fragments, hence the clock is turned back.
        let moment = translator.now
        translator.advance(to: moment + 400)
        let live = translator.nat.flows.live
        #expect(live == 0)
        translator.now = moment

        let late = translator.egress(pieces[1])
        #expect(late == .dropped(.refused(.unknownFragment)))
        let answer = translator.ingress(Self.datagram(TestPacket.remote4, 443, TestPacket.exit4, outside).octets)
        #expect(answer == .dropped(.refused(.noFlow)))
        translator.advance(to: translator.now + 8000)
        let left = (live: translator.nat.flows.live, expired: translator.statistics.flowsExpired)
        #expect(left == (0, 1))
    }
}
