/// IPv6 packets as they are seen on the wire; their checksums were computed elsewhere.
extension Fixture {
    /// [fd7a:115c:a1e0::1]:48896 > [2001:db8::2]:443, SYN.
    static let tcp6Syn = Fixture(
        "tcp6_syn",
        """
        60 00 00 00  00 18 06 40                             IPv6: 24 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        bf 00 01 bb  00 00 00 01  00 00 00 00                48896 > 443, sequence 1
        60 02 fa f0  fe 19 00 00                             data offset 24, SYN
        02 04 05 a0                                          MSS 1440
        """)

    /// [fd7a:115c:a1e0::1]:48896 > [2001:db8::2]:53.
    static let udp6 = Fixture(
        "udp6",
        """
        60 00 00 00  00 0b 11 40                             IPv6: 11 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        bf 00 00 35  00 0b 9d cc                             48896 > 53, 11 octets
        61 62 63                                             "abc"
        """)

    /// The same behind hop-by-hop and destination options.
    static let udp6Options = Fixture(
        "udp6_options",
        """
        60 00 00 00  00 1b 00 40                             IPv6: 27 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        3c 00 05 02  00 00 01 00                             (hop-by-hop: router alert), then destination options
        11 00 01 04  00 00 00 00                             (destination options: padding), then UDP
        bf 00 00 35  00 0b 9d cc                             48896 > 53, 11 octets
        61 62 63                                             "abc"
        """)

    /// The first 16 octets of a datagram of 24.
    static let udp6FirstFragment = Fixture(
        "udp6_first_fragment",
        """
        60 00 00 00  00 18 2c 40                             IPv6: 24 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        11 00 00 01  01 02 03 04                             fragment: UDP, offset 0, more, identification 0x01020304
        bf 00 00 35  00 18 9a bc                             48896 > 53, 24 octets
        61 62 63 64  65 66 67 68                             "abcdefgh"
        """)

    /// Its rest.
    static let udp6LaterFragment = Fixture(
        "udp6_later_fragment",
        """
        60 00 00 00  00 10 2c 40                             IPv6: 16 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        11 00 00 10  01 02 03 04                             fragment: UDP, offset 16, the last, same identification
        69 6a 6b 6c  6d 6e 6f 70                             "ijklmnop"
        """)

    /// A datagram in one fragment.
    static let udp6AtomicFragment = Fixture(
        "udp6_atomic_fragment",
        """
        60 00 00 00  00 13 2c 40                             IPv6: 19 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        11 00 00 00  01 02 03 04                             fragment: UDP, offset 0, the last
        bf 00 00 35  00 0b 9d cc                             48896 > 53, 11 octets
        61 62 63                                             "abc"
        """)

    /// TCP behind an authentication header.
    static let tcp6Authenticated = Fixture(
        "tcp6_authenticated",
        """
        60 00 00 00  00 2c 33 40                             IPv6: 44 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        06 04 00 00  00 00 00 01  00 00 00 01                AH: TCP next, 24 octets
        de ad be ef  de ad be ef  de ad be ef                its check value
        bf 00 01 bb  00 00 00 02  00 00 00 09                48896 > 443
        50 10 01 f6  0e a5 00 00                             data offset 20, ACK
        """)

    /// TCP behind a segment routing header.
    static let tcp6Routed = Fixture(
        "tcp6_routed",
        """
        60 00 00 00  00 2c 2b 40                             IPv6: 44 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        06 02 04 00  00 00 00 00                             (routing, type 4), 24 octets, no segments left
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   2001:db8::2
        bf 00 01 bb  00 00 00 02  00 00 00 09                48896 > 443
        50 10 01 f6  0e a5 00 00                             data offset 20, ACK
        """)

    /// No next header.
    static let nothing6 = Fixture(
        "nothing6",
        """
        60 00 00 00  00 00 3b 40                             IPv6: 0 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        """)

    /// ping from fd7a:115c:a1e0::1.
    static let icmp6EchoRequest = Fixture(
        "icmp6_echo_request",
        """
        60 00 00 00  00 10 3a 40                             IPv6: 16 octets behind the header, hop limit 64
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        80 00 b5 93  5a 17 00 01                             (echo request), identifier 0x5a17, sequence 1
        61 62 63 64  65 66 67 68                             "abcdefgh"
        """)

    /// Its answer.
    static let icmp6EchoReply = Fixture(
        "icmp6_echo_reply",
        """
        60 00 00 00  00 10 3a 40                             IPv6: 16 octets behind the header, hop limit 64
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   2001:db8::2
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   > fd7a:115c:a1e0::1
        81 00 b4 93  5a 17 00 01                             (echo reply), identifier 0x5a17, sequence 1
        61 62 63 64  65 66 67 68                             "abcdefgh"
        """)

    /// 2001:db8::9 cannot pass on 1,500 octets of TCP.
    static let icmp6PacketTooBig = Fixture(
        "icmp6_packet_too_big",
        """
        60 00 00 00  00 38 3a 40                             IPv6: 56 octets behind the header, hop limit 64
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 09   2001:db8::9
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   > fd7a:115c:a1e0::1
        02 00 0e 76  00 00 05 78                             (packet too big), MTU 1,400
        60 00 00 00  05 b4 06 3f                             quoted IPv6: 1,460 octets behind the header, TCP
        fd 7a 11 5c  a1 e0 00 00  00 00 00 00  00 00 00 01   fd7a:115c:a1e0::1
        20 01 0d b8  00 00 00 00  00 00 00 00  00 00 00 02   > 2001:db8::2
        bf 00 01 bb  00 00 00 02                             48896 > 443
        """)

    // Options that end badly are nobody's reason to refuse a packet; whoever looks for the MSS must stop in time.
    static let tcp6OptionCut = tcp6Syn.with([0x01, 0x01, 0x01, 0x02], at: 60, name: "tcp6_option_cut")
    static let tcp6OptionEmpty = tcp6Syn.with([0x08, 0x00, 0x01, 0x01], at: 60, name: "tcp6_option_empty")
    static let tcp6OptionPastEnd = tcp6Syn.with([0x01, 0x01, 0x02, 0x04], at: 60, name: "tcp6_option_past_end")

    static let v6: [Fixture] = [
        .tcp6Syn, .udp6, .udp6Options, .udp6FirstFragment, .udp6LaterFragment, .udp6AtomicFragment,
        .tcp6Authenticated, .tcp6Routed, .nothing6, .icmp6EchoRequest, .icmp6EchoReply, .icmp6PacketTooBig,
        .tcp6OptionCut, .tcp6OptionEmpty, .tcp6OptionPastEnd,
    ]
}
