import DataPlane
import Metrics
import Steering

// What passes, and what does not.

extension Metric {
    static let ofTraffic =
        [
            Metric(
                "forwarder_forwarded_bytes", .counter, unit: .bytes,
                "Octets of clients' IP packets that were forwarded into the VPN (egress) or out of it (ingress).",
                by: kinds
            ) { $0.statistics.map { values(of: $0, \.bytes) } },
            Metric(
                "forwarder_forwarded_packets", .counter, unit: .packets,
                "Clients' packets that were forwarded; a super-packet (several segments at once, as the kernel hands them over) is one.",
                by: kinds
            ) { $0.statistics.map { values(of: $0, \.packets) } },
            Metric(
                "forwarder_super_packets", .counter, unit: .packets,
                "Of the forwarded packets those that were super-packets.",
                by: [MetricLabel("direction", ["egress", "ingress"])]
            ) { scrape in
                scrape.statistics.map { [.integer($0.egress.superPackets), .integer($0.ingress.superPackets)] }
            },
            Metric(
                "forwarder_hairpin_bytes", .counter, unit: .bytes,
                "Octets that went from one client to another by way of the exit address (the VPN's, by which clients leave)."
            ) { $0.statistics.map { [.integer($0.hairpin.bytes)] } },
            Metric(
                "forwarder_fragmented_packets", .counter, unit: .packets,
                "Packets that left in fragments because the next hop takes no longer ones."
            ) { $0.statistics.map { [.integer($0.packetsFragmented)] } },
            Metric(
                "forwarder_split_super_packets", .counter, unit: .packets,
                "Super-packets that a port (a tun device of ours: inside faces Tailscale, outside the VPN) refused whole, so that they were cut in software."
            ) { $0.statistics.map { [.integer($0.superPacketsSplit)] } },
            Metric(
                "forwarder_port_offloads", .gauge,
                "Which super-packets a port takes whole: 2 those of TCP and UDP, 1 only those of TCP, 0 none.",
                by: [MetricLabel("port", ["inside", "outside"])]
            ) { scrape in
                scrape.status?.ports.map {
                    [MetricValue($0.inside.offloads.rung), MetricValue($0.outside.offloads.rung)]
                }
            },
            Metric(
                "forwarder_dropped_packets", .counter, unit: .packets,
                "Clients' packets, and answers to them, that were not forwarded, by the reason.",
                by: [MetricLabel("reason", dropReasons)]
            ) { scrape in
                guard let drops = scrape.status?.drops, scrape.statistics != nil else { return nil }
                return dropReasons.map { .integer(drops[$0] ?? 0) }
            },
            Metric(
                "forwarder_icmp_errors", .counter, "ICMP errors of our own that were sent, by kind.",
                by: [MetricLabel("kind", ICMPError.allCases.map { "\($0.name)" })]
            ) { scrape in scrape.statistics.map { counts in ICMPError.allCases.map { .integer(counts.sent($0)) } } },
            Metric(
                "forwarder_suppressed_icmp_errors", .counter, "ICMP errors that the limits on them forbade."
            ) { $0.statistics.map { [.integer($0.errorsSuppressed)] } },
        ]

    // MARK: Kinds of packets

    private static let kinds = [
        MetricLabel("direction", ["egress", "ingress"]), MetricLabel("family", ["ipv4", "ipv6"]),
        MetricLabel("protocol", CountedTransport.allCases.map { "\($0)" }),
    ]

    private static func values(
        of statistics: Statistics, _ count: KeyPath<Statistics.Traffic, UInt64>
    ) -> [MetricValue?] {
        [Way.egress, .ingress].flatMap { way in
            [true, false].flatMap { isV4 in
                CountedTransport.allCases.map { transport in
                    .integer(statistics.traffic(way, isV4: isV4, transport)[keyPath: count])
                }
            }
        }
    }

    // MARK: Reasons

    /// Of the loop, of the programs ahead of it, and of the port between them.
    private static let dropReasons =
        DropReason.all.map { "\($0.name)" } + VerdictCount.dropNames + ["port_queue_full"]
}

extension Port.Offloads {
    fileprivate var rung: Int {
        switch self {
        case .none: 0
        case .noUSO: 1
        case .all: 2
        }
    }
}
