import PacketParse
import Testing

@Suite("Transport headers")
struct TransportHeadersTests {
    /// A TCP header with these options, padded by zeros to whole words.
    private func tcp(_ options: [UInt8]) -> [UInt8] {
        let padded = options + [UInt8](repeating: 0, count: (4 - options.count % 4) % 4)
        return [
            0xbf, 0, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, UInt8(5 + padded.count / 4) << 4, 0x12, 0xfa, 0xf0, 1, 2, 3, 4,
        ] + padded
    }

    @Test("TCP's fields are where RFC 9293 puts them")
    func fields() throws {
        let octets = tcp([])
        let header = try TCPHeader(parsing: octets.raw)
        let (flags, dataOffset) = (header.flags, header.dataOffset)
        #expect(flags == [.syn, .ack])
        #expect(dataOffset == 20)
        #expect(octets.raw.word32(at: TCPHeader.Field.sequenceNumber) == 1)
        #expect(octets.raw.word16(at: TCPHeader.Field.checksum) == 0x0102)
    }

    @Test(
        "the MSS is found wherever it stands",
        arguments: [
            ([2, 4, 5, 0xb4], 22), ([1, 1, 1, 2, 4, 5, 0xb4], 25),
            ([4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4], 34),
            ([1, 2, 4, 5, 0xb4], 23),
        ] as [([UInt8], Int)])
    func maximumSegmentSize(options: [UInt8], offset: Int) throws {
        let octets = tcp(options)
        let option = try TCPHeader(parsing: octets.raw).maximumSegmentSize
        #expect(option?.value == 1460)
        #expect(option?.offset == offset)
    }

    @Test(
        "no MSS is found behind the end of the options or behind a malformed one",
        arguments: [
            [], [1, 1, 1, 1], [0, 2, 4, 5, 0xb4], [8, 0, 2, 4, 5, 0xb4], [8, 1, 2, 4, 5, 0xb4], [8, 40, 2, 4, 5, 0xb4],
            [2, 3, 5, 0xb4], [1, 1, 1, 2], [1, 1, 2, 4],
        ] as [[UInt8]])
    func noMaximumSegmentSize(options: [UInt8]) throws {
        let octets = tcp(options)
        let option = try TCPHeader(parsing: octets.raw).maximumSegmentSize
        #expect(option == nil)
    }

    @Test("a TCP header that is cut or contradicts itself does not come to exist")
    func refusals() {
        let octets = tcp([2, 4, 5, 0xb4])
        #expect(throws: ParseError.truncated) { try TCPHeader(parsing: octets.raw.extracting(first: 19)).dataOffset }
        #expect(throws: ParseError.badTransportHeader) {
            try TCPHeader(parsing: octets.raw.extracting(first: 23)).dataOffset
        }
    }

    @Test("UDP's fields are where RFC 768 puts them")
    func udp() throws {
        let octets: [UInt8] = [0xbf, 0, 0, 0x35, 0, 11, 0xab, 0xcd]
        let header = try UDPHeader(parsing: octets.raw)
        let (source, destination, length) = (header.sourcePort, header.destinationPort, header.length)
        #expect(source == 48896)
        #expect(destination == 53)
        #expect(length == 11)
        #expect(octets.raw.word16(at: UDPHeader.Field.checksum) == 0xabcd)
        #expect(throws: ParseError.truncated) { try UDPHeader(parsing: octets.raw.extracting(first: 7)).length }
    }

    @Test("ICMP's fields are where RFC 792 puts them")
    func icmp() throws {
        let octets: [UInt8] = [8, 1, 0xab, 0xcd, 0x5a, 0x17, 0, 1]
        let header = try ICMPHeader(parsing: octets.raw)
        let (type, identifier) = (header.type, header.identifier)
        #expect(type == 8)
        #expect(identifier == 0x5a17)
        #expect(octets.raw.word16(at: ICMPHeader.Field.checksum) == 0xabcd)
        #expect(throws: ParseError.truncated) { try ICMPHeader(parsing: octets.raw.extracting(first: 7)).type }
    }
}
