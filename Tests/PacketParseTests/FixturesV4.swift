/// IPv4 packets as they are seen on the wire; their checksums were computed elsewhere.
extension Fixture {
    /// 10.0.0.1:48896 > 192.0.2.1:443, SYN with the options of a Linux client.
    static let tcp4Syn = Fixture(
        "tcp4_syn",
        """
        45 00 00 3c  12 34 40 00  40 06 5c 86   IPv4: 60 octets, TTL 64, TCP
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        bf 00 01 bb  00 00 00 01  00 00 00 00   48896 > 443, sequence 1
        a0 02 fa f0  c0 49 00 00                data offset 40, SYN
        02 04 05 b4                             MSS 1460
        04 02 08 0a  00 00 00 07  00 00 00 00   SACK permitted, timestamps
        01 03 03 07                             no operation, window scale 7
        """)

    /// 10.0.0.1:48896 > 192.0.2.1:443, five octets of data.
    static let tcp4Data = Fixture(
        "tcp4_data",
        """
        45 00 00 2d  12 34 40 00  40 06 5c 95   IPv4: 45 octets, TTL 64, TCP
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        bf 00 01 bb  00 00 00 02  00 00 00 09   48896 > 443
        50 18 01 f6  dd 36 00 00                data offset 20, PSH ACK
        68 65 6c 6c  6f                         "hello"
        """)

    /// 10.0.0.1:48896 > 192.0.2.1:53 with an odd tail.
    static let udp4 = Fixture(
        "udp4",
        """
        45 00 00 1f  12 34 40 00  40 11 5c 98   IPv4: 31 octets, TTL 64, UDP
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        bf 00 00 35  00 0b b0 3d                48896 > 53, 11 octets
        61 62 63                                "abc"
        """)

    /// The same behind an Ethernet that pads to 46 octets.
    static let udp4Padded = Fixture(
        "udp4_padded",
        """
        45 00 00 1f  12 34 40 00  40 11 5c 98             IPv4: 31 octets, TTL 64, UDP
        0a 00 00 01  c0 00 02 01                          10.0.0.1 > 192.0.2.1
        bf 00 00 35  00 0b b0 3d                          48896 > 53, 11 octets
        61 62 63                                          "abc"
        00 00 00 00  00 00 00 00  00 00 00 00  00 00 00   (padding)
        """)

    /// 10.0.0.1:48896 > 192.0.2.1:53 without a checksum.
    static let udp4NoChecksum = Fixture(
        "udp4_no_checksum",
        """
        45 00 00 1c  12 34 40 00  40 11 5c 9b   IPv4: 28 octets, TTL 64, UDP
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        bf 00 00 35  00 08 00 00                48896 > 53, 8 octets, no checksum
        """)

    /// 10.0.0.1:48896 > 192.0.2.1:53, the first 16 octets of a datagram of 24.
    static let udp4FirstFragment = Fixture(
        "udp4_first_fragment",
        """
        45 00 00 24  12 34 20 00  40 11 7c 93   IPv4: 36 octets, TTL 64, UDP, more fragments
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        bf 00 00 35  00 18 9a bc                48896 > 53, 24 octets
        61 62 63 64  65 66 67 68                "abcdefgh"
        """)

    /// Its rest.
    static let udp4LaterFragment = Fixture(
        "udp4_later_fragment",
        """
        45 00 00 1c  12 34 00 02  40 11 9c 99   IPv4: 28 octets, TTL 64, UDP, offset 16
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        69 6a 6b 6c  6d 6e 6f 70                "ijklmnop"
        """)

    /// 10.0.0.1:48896 > 192.0.2.1:443 behind an IPv4 option.
    static let tcp4RouterAlert = Fixture(
        "tcp4_router_alert",
        """
        46 00 00 2c  12 34 40 00  40 06 c7 91   IPv4: header of 24 octets, 44 in all, TCP
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        94 04 00 00                             (router alert)
        bf 00 01 bb  00 00 00 02  00 00 00 09   48896 > 443
        50 11 01 f6  21 15 00 00                data offset 20, FIN ACK
        """)

    /// ping from 10.0.0.1.
    static let icmp4EchoRequest = Fixture(
        "icmp4_echo_request",
        """
        45 00 00 24  12 34 40 00  40 01 5c a3   IPv4: 36 octets, TTL 64, ICMP
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        08 00 0c 52  5a 17 00 01                (echo request), identifier 0x5a17, sequence 1
        61 62 63 64  65 66 67 68                "abcdefgh"
        """)

    /// Its answer.
    static let icmp4EchoReply = Fixture(
        "icmp4_echo_reply",
        """
        45 00 00 24  12 34 40 00  40 01 5c a3   IPv4: 36 octets, TTL 64, ICMP
        c0 00 02 01  0a 00 00 01                192.0.2.1 > 10.0.0.1
        00 00 14 52  5a 17 00 01                (echo reply), identifier 0x5a17, sequence 1
        61 62 63 64  65 66 67 68                "abcdefgh"
        """)

    /// 203.0.113.9 cannot pass on 1,500 octets of UDP.
    static let icmp4FragmentationNeeded = Fixture(
        "icmp4_fragmentation_needed",
        """
        45 00 00 38  12 34 40 00  40 01 e2 86   IPv4: 56 octets, TTL 64, ICMP
        cb 00 71 09  0a 00 00 01                203.0.113.9 > 10.0.0.1
        03 04 32 86  00 00 05 78                (fragmentation needed), next hop takes 1,400
        45 00 05 dc  12 34 40 00  3f 11 57 db   quoted IPv4: 1,500 octets, TTL 63, UDP
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        bf 00 00 35  05 c8 00 00                48896 > 53
        """)

    /// 203.0.113.9 saw the last hop of a SYN.
    static let icmp4TimeExceeded = Fixture(
        "icmp4_time_exceeded",
        """
        45 00 00 38  12 34 40 00  40 01 e2 86   IPv4: 56 octets, TTL 64, ICMP
        cb 00 71 09  0a 00 00 01                203.0.113.9 > 10.0.0.1
        0b 00 cf c9  00 00 00 00                (time exceeded)
        45 00 00 3c  12 34 40 00  01 06 00 00   quoted IPv4: 60 octets, TTL 1, TCP, checksum unset
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        bf 00 01 bb  00 00 00 01                48896 > 443, sequence 1
        """)

    /// 10.0.0.1 > 192.0.2.1, a protocol without ports.
    static let gre4 = Fixture(
        "gre4",
        """
        45 00 00 18  12 34 40 00  40 2f 5c 81   IPv4: 24 octets, TTL 64, GRE
        0a 00 00 01  c0 00 02 01                10.0.0.1 > 192.0.2.1
        00 00 08 00                             GRE
        """)

    static let v4: [Fixture] = [
        .tcp4Syn, .tcp4Data, .udp4, .udp4Padded, .udp4NoChecksum, .udp4FirstFragment, .udp4LaterFragment,
        .tcp4RouterAlert, .icmp4EchoRequest, .icmp4EchoReply, .icmp4FragmentationNeeded, .icmp4TimeExceeded,
        .gre4,
    ]
}
