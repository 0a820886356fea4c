import Foundation
import Lab
import Node
import TestSupport
import Testing

/// The count beside the truth over much traffic of every kind, at both metering points: TCP both ways in both families, with a
/// packet in two hundred lost behind the line, and UDP of all sizes.
@Suite(.serialized, .labCanBeBuilt) struct CountTests {
    /// Bytes to be billed.
    private static let volume: Int64 = isSoak ? 10_000_000_000 : 500_000_000

    @Test("at the uplink the count is what the far end of the line counts")
    func uplink() throws {
        let bill = try Bill()
        try lose(on: bill.lab.server, bill.lab.client)
        let node = try bill.lab.startNode(cap: "1TB")
        let before = try bill.settled()
        try mix(in: bill.lab)
        let after = try bill.settled()
        tell("uplink", counted: after.used - before.used, truth: after.truth - before.truth)
        withExtendedLifetime(node) {}
    }

    @Test("in the tunnel the count is what the far end of the tunnel counts")
    func tunnel() throws {
        let lab = try PlainLab()
        try lab.node.run(["mkdir", Bill.directory])
        for host in [lab.internet, lab.client] {
            try host.run([
                "ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off", "tx-udp-segmentation", "off",
            ])
        }
        try lab.node.run(["ethtool", "-K", lab.vpnEdge, "tso", "off", "gso", "off", "tx-udp-segmentation", "off"])
        // What the two neighbours tell each other of their addresses is in no tunnel. What leaves is counted by a qdisc, for a
        // sender's own packets are cut behind every hook.
        try lab.internet.nft(
            """
            table inet truth {
                counter came { }
                counter chatter { }
                chain came {
                    type filter hook prerouting priority -500
                    iif eth0 icmpv6 type != { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } counter name came
                    iif eth0 meta protocol ip counter name came
                    iif eth0 meta protocol ip6 meta l4proto != icmpv6 counter name came
                }
                chain left {
                    type filter hook postrouting priority 500
                    oif eth0 icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } counter name chatter
                }
            }
            table arp truth {
                counter chatter { }
                chain left { type filter hook output priority 0; oif eth0 counter name chatter; }
            }
            """)
        try lab.internet.run(["tc", "qdisc", "add", "dev", "eth0", "root", "pfifo", "limit", "10000"])
        try lose(on: lab.internet, lab.client)
        let node = try lab.startNode(cap: "1TB", ["--cap-meter", "tunnel"])
        func truth() throws -> Int64 {
            // "Sent 5000 bytes 50 pkt (dropped 0, overlimits 0 requeues 0)"
            let words = try lab.internet.run(["tc", "-s", "qdisc", "show", "dev", "eth0"]).split(separator: " ")
            let place = try #require(words.firstIndex(of: "bytes"))
            let (bytes, packets) = (Int64(words[place - 1]), Int64(words[place + 1]))
            let left = try #require(bytes) - 14 * (try #require(packets))
            // Of a frame that ARP sends, nftables counts the Ethernet header, too.
            let arp = try 28 * counter("arp", "chatter").packets
            return try left + counter("inet", "came").bytes - counter("inet", "chatter").bytes - arp
        }
        func counter(_ family: String, _ name: String) throws -> (packets: Int64, bytes: Int64) {
            // "packets 5 bytes 7500"
            let words = try lab.internet.run(["nft", "list", "counter", family, "truth", name])
                .split(whereSeparator: \.isWhitespace)
            let place = try #require(words.firstIndex(of: "bytes"))
            return (try #require(Int64(words[place - 1])), try #require(Int64(words[place + 1])))
        }
        /// Both at a moment at which nothing passes: what is chatter is told by two counters, read one after the other.
        func settled() throws -> (used: Int64, truth: Int64) {
            for _ in 0..<40 {
                let (before, used) = (try truth(), try used(on: lab))
                usleep(250_000)
                if try truth() == before { return (used, before) }
            }
            throw LabFailure(couldNot: "count what the tunnel carries", because: "it was never silent")
        }
        let before = try settled()
        try mix(in: lab)
        sleep(2)
        let after = try settled()
        tell("tunnel", counted: after.used - before.used, truth: after.truth - before.truth)
        withExtendedLifetime(node) {}
    }

    private func tell(_ point: String, counted: Int64, truth: Int64) {
        print("figure: count at the \(point): \(counted) bytes, by the far end \(truth)")
        #expect(counted == truth)
        #expect(truth > Self.volume)
    }

    private func used(on lab: any Lab) throws -> Int64 { Int64(try lab.quota().usedBytes) }

    /// Behind what counts: TCP sends these again, and both are on the bill.
    private func lose(on hosts: LabHost...) throws {
        for host in hosts {
            try host.nft(
                """
                table inet lossy {
                    chain in { type filter hook prerouting priority -400; meta l4proto tcp numgen random mod 200 < 1 drop; }
                }
                """)
        }
    }

    private func mix(in lab: any Lab) throws {
        let start = try used(on: lab)
        var round = 0
        while try used(on: lab) - start < Self.volume {
            round += 1
            for address in [lab.internetAddress.v4, lab.internetAddress.v6] {
                for direction in Transfer.Direction.allCases {
                    let transfer = try Transfer(
                        direction, bytes: 20_000_000, client: lab.client, server: lab.internet, at: address)
                    #expect(transfer.isIntact)
                }
                // A port each of a thousand datagrams.
                try lab.client.sendDatagrams(to: address, ports: 1...1000)
            }
            _ = try lab.client.ping(lab.internetAddress.v4, count: 5, size: 4000)
            try #require(round < 2000)
        }
    }
}
