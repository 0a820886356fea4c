import PacketParse
import Testing

@Suite("A packet's summary")
struct PacketSummaryTests {
    static let client = IPAddress(v4: 0x0a00_0001)
    static let server = IPAddress(v4: 0xc000_0201)
    static let client6 = IPAddress(bits: 0xfd7a_115c_a1e0_0000_0000_0000_0000_0001)
    static let server6 = IPAddress(bits: 0x2001_0db8_0000_0000_0000_0000_0000_0002)

    @Test("a SYN says who opens what towards whom")
    func syn() throws {
        let packet = try Fixture.tcp4Syn.summary()
        #expect(packet.isV4)
        #expect(packet.source == Self.client)
        #expect(packet.destination == Self.server)
        #expect(packet.transport == .tcp)
        #expect(packet.protocolNumber == 6)
        #expect(packet.sourcePort == 48896)
        #expect(packet.destinationPort == 443)
        #expect(packet.tcpFlags == .syn)
        #expect(packet.transportOffset == 20)
        #expect(packet.totalLength == 60)
        #expect(packet.hopLimit == 64)
        #expect(packet.fragment == .none)
        #expect(packet.fragmentIdentifier == 0)
        #expect(!packet.isICMPError)
    }

    @Test("IPv6 says the same in the same words")
    func syn6() throws {
        let packet = try Fixture.tcp6Syn.summary()
        #expect(!packet.isV4)
        #expect(packet.source == Self.client6)
        #expect(packet.destination == Self.server6)
        #expect(packet.transport == .tcp)
        #expect(packet.sourcePort == 48896)
        #expect(packet.destinationPort == 443)
        #expect(packet.tcpFlags == .syn)
        #expect(packet.transportOffset == 40)
        #expect(packet.totalLength == 64)
    }

    @Test("IPv4 options are stepped over")
    func options() throws {
        let packet = try Fixture.tcp4RouterAlert.summary()
        #expect(packet.transportOffset == 24)
        #expect(packet.sourcePort == 48896)
        #expect(packet.tcpFlags == [.fin, .ack])
    }

    @Test("Ethernet's padding is not part of the packet")
    func padding() throws {
        let packet = try Fixture.udp4Padded.summary()
        #expect(Fixture.udp4Padded.octets.count == 46)
        #expect(packet.totalLength == 31)
        #expect(packet.destinationPort == 53)
    }

    @Test(
        "extension headers are stepped over",
        arguments: [
            (Fixture.udp6Options, 56), (.udp6AtomicFragment, 48), (.tcp6Authenticated, 64), (.tcp6Routed, 64),
            (Malformed.chain(of: 8), 104),
        ])
    func extensions(fixture: Fixture, offset: Int) throws {
        let packet = try fixture.summary()
        #expect(packet.transportOffset == offset)
        #expect(packet.sourcePort == 48896)
        #expect(packet.fragment == .none)
        #expect(packet.fragmentIdentifier == 0)
    }

    @Test("a protocol without ports has none", arguments: [(Fixture.gre4, UInt8(47)), (.nothing6, 59)])
    func portless(fixture: Fixture, protocolNumber: UInt8) throws {
        let packet = try fixture.summary()
        #expect(packet.transport == .other)
        #expect(packet.protocolNumber == protocolNumber)
        #expect(packet.sourcePort == 0)
        #expect(packet.destinationPort == 0)
    }

    @Test("ICMP in IPv6 and ICMPv6 in IPv4 mean nothing")
    func misplaced() throws {
        #expect(try Fixture.icmp6EchoRequest.with([1], at: 6).summary().transport == .other)
        #expect(try Fixture.icmp4EchoRequest.with([58], at: 9).summary().transport == .other)
    }

    @Test(
        "an echo's identifier stands where the client's port would",
        arguments: [
            (Fixture.icmp4EchoRequest, Fixture.icmp4EchoReply), (.icmp6EchoRequest, .icmp6EchoReply),
        ])
    func echo(request: Fixture, reply: Fixture) throws {
        let asked = try request.summary()
        let answered = try reply.summary()
        #expect(asked.sourcePort == 0x5a17)
        #expect(asked.destinationPort == 0)
        #expect(answered.sourcePort == 0)
        #expect(answered.destinationPort == 0x5a17)
        #expect(!asked.isICMPError && !answered.isICMPError)
    }

    @Test("a summary is one cache line")
    func size() {
        #expect(MemoryLayout<PacketSummary>.size <= 64)
    }

    // MARK: Fragments

    @Test(
        "the first fragment has the ports, the later ones have the identifier",
        arguments: [
            (Fixture.udp4FirstFragment, Fixture.udp4LaterFragment, UInt32(0x1234)),
            (.udp6FirstFragment, .udp6LaterFragment, 0x0102_0304),
        ])
    func fragments(first: Fixture, later: Fixture, identifier: UInt32) throws {
        let head = try first.summary()
        #expect(head.fragment == .first)
        #expect(head.fragmentIdentifier == identifier)
        #expect(head.sourcePort == 48896)
        #expect(head.transport == .udp)
        let tail = try later.summary()
        #expect(tail.fragment == .later)
        #expect(tail.fragmentIdentifier == identifier)
        #expect(tail.sourcePort == 0)
        #expect(tail.destinationPort == 0)
        #expect(tail.transport == .udp)
    }

    @Test("a later TCP fragment behind the header passes")
    func laterTCPFragment() throws {
        #expect(try Fixture.tcp4Data.with([0x00, 0x03], at: 6).summary().fragment == .later)
    }

    @Test("a later fragment of an ICMP error is no error: its octets are the middle of a quote")
    func laterFragmentOfError() throws {
        // Offset 8, no more to come.
        #expect(try !Fixture.icmp4TimeExceeded.with([0x00, 0x01], at: 6).summary().isICMPError)
        #expect(try Fixture.icmp4TimeExceeded.summary().isICMPError)
    }

    // MARK: Quotes

    @Test(
        "an ICMP error quotes the packet it is about",
        arguments: [
            (Fixture.icmp4FragmentationNeeded, Transport.udp, 28, 1500), (.icmp4TimeExceeded, .tcp, 28, 60),
            (.icmp6PacketTooBig, .tcp, 48, 1500),
        ])
    func quote(fixture: Fixture, transport: Transport, offset: Int, totalLength: Int) throws {
        let error = try fixture.summary()
        #expect(error.isICMPError)
        #expect(error.quoteOffset == offset)
        #expect(error.sourcePort == 0 && error.destinationPort == 0)
        let quoted = try PacketSummary(quoted: fixture.octets.raw.extracting(droppingFirst: error.quoteOffset))
        #expect(quoted.source == error.destination)
        #expect(quoted.transport == transport)
        #expect(quoted.sourcePort == 48896)
        #expect(quoted.totalLength == totalLength)
        #expect(quoted.tcpFlags == [])
    }

    @Test(
        "a quote needs eight octets of transport, no fewer",
        arguments: [
            (Fixture.tcp4Syn, 20), (.udp4, 20), (.icmp4EchoRequest, 20), (.tcp6Syn, 40), (.udp6Options, 56),
        ])
    func shortQuote(fixture: Fixture, transportOffset: Int) throws {
        let octets = fixture.octets
        let enough = try PacketSummary(quoted: octets.raw.extracting(first: transportOffset + 8))
        #expect(enough.sourcePort == (enough.transport == .icmp ? 0x5a17 : 48896))
        #expect(throws: ParseError.truncated) {
            try PacketSummary(quoted: octets.raw.extracting(first: transportOffset + 7))
        }
    }

    // MARK: Refusals

    @Test("what contradicts itself is refused by its name", arguments: Malformed.all)
    func refusal(malformed: Malformed) {
        #expect(throws: malformed.error) { try malformed.fixture.summary() }
    }

    @Test("every reason is met by a fixture")
    func reasons() {
        let met = Set(Malformed.all.map(\.error))
        #expect(met == Set(ParseError.allCases))
        #expect(Set(ParseError.allCases.map(\.name.description)).count == ParseError.allCases.count)
    }

    @Test("cut anywhere, a packet is refused as truncated", arguments: Fixture.sound)
    func cuts(fixture: Fixture) throws {
        let whole = try fixture.summary().totalLength
        for length in 0..<whole {
            #expect(throws: ParseError.truncated) { try fixture.cut(to: length).summary() }
        }
    }
}
