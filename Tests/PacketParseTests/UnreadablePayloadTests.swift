import PacketParse
import TestSupport
import Testing

extension UnreadablePayload {
    fileprivate func summary(length: Int) throws(ParseError) -> PacketSummary {
        try PacketSummary(parsing: unsafe UnsafeRawBufferPointer(start: start, count: length).bytes)
    }

    fileprivate func quoted(from offset: Int, length: Int) throws(ParseError) -> PacketSummary {
        try PacketSummary(quoted: unsafe UnsafeRawBufferPointer(start: start + offset, count: length - offset).bytes)
    }
}

@Suite("No payload inspection")
struct UnreadablePayloadTests {
    @Test(
        "a packet whose payload cannot be read is understood all the same",
        arguments: [
            (Fixture.tcp4Syn, 60), (.tcp4Data, 40), (.udp4, 28), (.udp4FirstFragment, 28), (.udp4LaterFragment, 20),
            (.icmp4EchoRequest, 28), (.gre4, 20), (.tcp6Syn, 64), (.udp6, 48), (.udp6Options, 64),
            (.udp6LaterFragment, 48),
            (.icmp6EchoReply, 48),
        ])
    func payload(fixture: Fixture, headers: Int) throws {
        // The same packet, grown to 60,004 octets: a first fragment of these is a multiple of eight.
        let isV4 = fixture.octets[0] >> 4 == 4
        let claimed = isV4 ? 60_004 : 60_004 - 40
        let grown = fixture.with([UInt8(claimed >> 8), UInt8(claimed & 0xff)], at: isV4 ? 2 : 4).cut(to: headers)
        let memory = try #require(UnreadablePayload(headers: grown.octets))
        #expect(memory.isReadable(at: headers - 1))
        #expect(!memory.isReadable(at: headers))

        let packet = try memory.summary(length: 60_004)
        #expect(packet.totalLength == 60_004)
        let original = try fixture.summary()
        #expect(FlowKey.outbound(packet) == FlowKey.outbound(original))
        #expect(
            FlowKey.outbound(packet).hash(seed: FlowKeyTests.seed)
                == FlowKey.outbound(original).hash(seed: FlowKeyTests.seed))
    }

    @Test(
        "of the packet that an ICMP error quotes only the headers are read",
        arguments: [
            (Fixture.icmp4FragmentationNeeded, 28), (.icmp4TimeExceeded, 28), (.icmp6PacketTooBig, 48),
        ])
    func quote(fixture: Fixture, offset: Int) throws {
        let headers = fixture.octets.count
        let isV4 = fixture.octets[0] >> 4 == 4
        let claimed = isV4 ? headers + 500 : headers + 500 - 40
        let grown = fixture.with([UInt8(claimed >> 8), UInt8(claimed & 0xff)], at: isV4 ? 2 : 4)
        let memory = try #require(UnreadablePayload(headers: grown.octets))
        #expect(!memory.isReadable(at: headers))
        #expect(try memory.summary(length: headers + 500).isICMPError)
        #expect(try memory.quoted(from: offset, length: headers + 500).sourcePort == 48896)
    }
}
