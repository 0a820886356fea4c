import PacketParse
import Testing

/// A packet that must be refused, and why.
struct Malformed: Sendable, CustomTestStringConvertible {
    let fixture: Fixture
    let error: ParseError

    init(_ name: String, _ error: ParseError, _ fixture: Fixture) {
        self.fixture = Fixture(name, octets: fixture.octets)
        self.error = error
    }

    var testDescription: String { fixture.name }
}

extension Malformed {
    static let all: [Malformed] = [
        Malformed("nothing_at_all", .truncated, Fixture.udp4.cut(to: 0)),
        Malformed("version_5", .badVersion, Fixture.udp4.with([0x55], at: 0)),

        Malformed("v4_header_cut", .truncated, Fixture.udp4.cut(to: 19)),
        Malformed("v4_header_of_16", .badHeaderLength, Fixture.udp4.with([0x44], at: 0)),
        Malformed("v4_options_cut", .truncated, Fixture.tcp4RouterAlert.cut(to: 22)),
        Malformed("v4_total_below_header", .badTotalLength, Fixture.tcp4RouterAlert.with([0x00, 0x17], at: 2)),
        Malformed("v4_total_above_octets", .truncated, Fixture.udp4.with([0x00, 0x20], at: 2)),
        Malformed("v4_payload_cut", .truncated, Fixture.tcp4Data.cut(to: 44)),
        Malformed("v4_checksum_wrong", .badHeaderChecksum, Fixture("", octets: flipped(Fixture.udp4.octets, at: 8))),

        Malformed("v6_header_cut", .truncated, Fixture.udp6.cut(to: 39)),
        Malformed("v6_payload_cut", .truncated, Fixture.udp6.cut(to: 50)),
        Malformed("v6_mapped_source", .mappedAddress, Fixture.udp6.with(mapped, at: 8)),
        Malformed("v6_mapped_destination", .mappedAddress, Fixture.udp6.with(mapped, at: 24)),
        Malformed("v6_jumbogram", .jumbogram, Fixture.udp6Options.with([0, 0], at: 4)),

        Malformed("v6_late_hop_by_hop", .badExtensionOrder, Fixture.udp6Options.with([0x00], at: 40)),
        Malformed("v6_extension_past_end", .truncated, Fixture.udp6Options.with([0x7f], at: 41)),
        Malformed("v6_extension_missing", .truncated, Fixture.nothing6.with([0x3c], at: 6)),
        Malformed("v6_routing_type_0", .routingHeaderType0, Fixture.tcp6Routed.with([0x00], at: 42)),
        Malformed("v6_authentication_past_end", .truncated, Fixture.tcp6Authenticated.with([0xff], at: 41)),
        Malformed("v6_nine_extensions", .extensionChainTooLong, chain(of: 9)),

        Malformed("v4_fragment_of_7", .badFragment, Fixture.udp4FirstFragment.with([0x00, 0x23], at: 2)),
        Malformed("v4_fragment_empty", .badFragment, Fixture.udp4LaterFragment.with([0x00, 0x14], at: 2)),
        Malformed("v4_fragment_past_65535", .badFragment, Fixture.udp4LaterFragment.with([0x1f, 0xff], at: 6)),
        Malformed("v4_fragment_into_tcp_flags", .tinyFragment, Fixture.tcp4Data.with([0x00, 0x01], at: 6)),
        Malformed("v4_fragment_into_tcp_checksum", .tinyFragment, Fixture.tcp4Data.with([0x00, 0x02], at: 6)),
        Malformed(
            "v4_tcp_fragment_of_16", .tinyFragment,
            Fixture.tcp4Data.with([0x00, 0x24], at: 2).with([0x20], at: 6)),
        Malformed("v6_fragment_of_15", .badFragment, Fixture.udp6FirstFragment.with([0x00, 0x17], at: 4)),
        Malformed("v6_fragment_past_65535", .badFragment, Fixture.udp6LaterFragment.with([0xff, 0xf8], at: 42)),
        Malformed(
            "v6_fragmented_twice", .badFragment,
            Fixture.udp6FirstFragment.with([0x2c], at: 40).with([0x11, 0, 0, 1], at: 48)),
        Malformed(
            "v6_chain_ends_in_fragment", .tinyFragment,
            Fixture.udp6FirstFragment.with([0x3c], at: 40).with([0x11, 9], at: 48)),

        Malformed("tcp_header_cut", .truncated, Fixture.tcp4Data.with([0x00, 0x27], at: 2)),
        Malformed("tcp_offset_of_16", .badTransportHeader, Fixture.tcp4Data.with([0x40], at: 32)),
        Malformed("tcp_offset_past_end", .badTransportHeader, Fixture.tcp4Data.with([0x70], at: 32)),
        Malformed("tcp6_offset_past_end", .badTransportHeader, Fixture.tcp6Syn.with([0x70], at: 52)),
        Malformed("udp_header_cut", .truncated, Fixture.udp4.with([0x00, 0x1b], at: 2)),
        Malformed("udp_length_of_7", .badTransportHeader, Fixture.udp4.with([0x00, 0x07], at: 24)),
        Malformed("udp_length_past_end", .badTransportHeader, Fixture.udp4Padded.with([0x00, 0x0c], at: 24)),
        Malformed("icmp_header_cut", .truncated, Fixture.icmp4EchoRequest.with([0x00, 0x1b], at: 2)),
        Malformed("icmp6_header_cut", .truncated, Fixture.icmp6EchoRequest.with([0x00, 0x07], at: 4)),
    ]

    /// ::ffff:10.0.0.1
    private static let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]

    private static func flipped(_ octets: [UInt8], at offset: Int) -> [UInt8] {
        var changed = octets
        changed[offset] ^= 0xff
        return changed
    }

    /// UDP behind that many destination options of eight octets each.
    static func chain(of count: Int) -> Fixture {
        let options = (1...count).flatMap { place -> [UInt8] in
            [place == count ? 0x11 : 0x3c, 0, 1, 4, 0, 0, 0, 0]
        }
        let header: [UInt8] = [0x60, 0, 0, 0, 0, UInt8(options.count + 8), 0x3c, 64]
        let addresses = Fixture.udp6.octets[8..<40]
        return Fixture("chain", octets: header + addresses + options + [0xbf, 0, 0, 0x35, 0, 8, 0xff, 0xff])
    }
}
