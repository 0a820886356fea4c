import FoundationEssentials
import Metrics
import SplitDNS

// Whether the VPN answers, and whether names do.

extension Metric {
    static let ofTheTunnel = [
        Metric(
            "forwarder_vpn_state", .gauge, "Whether anything comes back out of the VPN's tunnel: 1 for what holds.",
            by: [MetricLabel("state", StatusReport.VPN.State.self)]
        ) { $0.status?.vpn.map { StatusReport.VPN.State.values($0.state) } },
        Metric(
            "forwarder_vpn_last_handshake_timestamp_seconds", .gauge, unit: .seconds,
            "When the VPN's tunnel last agreed on keys (handshake); absent where its program does not tell."
        ) { $0.status?.vpn?.lastHandshake.map { [.real($0.timeIntervalSince1970)] } },
        Metric("forwarder_vpn_received_bytes", .counter, unit: .bytes, "Octets that the VPN's tunnel has received.") {
            $0.status?.vpn?.receivedBytes.map { [.integer($0)] }
        },
        Metric("forwarder_vpn_sent_bytes", .counter, unit: .bytes, "Octets that the VPN's tunnel has sent.") {
            $0.status?.vpn?.sentBytes.map { [.integer($0)] }
        },
    ]

    static let ofNames = [
        Metric(
            "forwarder_dns_taken_over", .gauge,
            "Whether resolv.conf names our stub resolver, so that the namespace's own processes ask us for names."
        ) { $0.status?.dns.map { [MetricValue($0.isTakenOver)] } },
        Metric(
            "forwarder_dns_queries", .counter,
            "Questions for names, by the path they took (direct by the uplink, or through the VPN) and by how they ended.",
            by: [
                MetricLabel("path", ["direct", "vpn"]),
                MetricLabel("outcome", ["answered", "timed_out", "unreachable", "mismatched"]),
            ]
        ) { scrape in
            scrape.status?.dns.map { dns in
                [dns.counts.direct, dns.counts.vpn].flatMap {
                    [$0.answered, $0.timedOut, $0.unreachable, $0.mismatched].map { .integer($0) }
                }
            }
        },
        Metric(
            "forwarder_dns_rejected", .counter, "Messages to the stub resolver that were no question, or one too many.",
            by: [MetricLabel("reason", ["malformed", "refused"])]
        ) { $0.status?.dns.map { [.integer($0.counts.malformed), .integer($0.counts.refused)] } },
    ]
}
