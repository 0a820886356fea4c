import FoundationEssentials
import Metrics

// What is used of the cap, what holds because of it, and whether the count can be trusted.

extension Metric {
    static let ofTheCap = [
        Metric(
            "forwarder_cap_limit_bytes", .gauge, unit: .bytes,
            "What may be used in the period (the cap's month), with what was granted for it."
        ) {
            $0.quota?.limitBytes.map { [.integer($0)] }
        },
        Metric("forwarder_cap_used_bytes", .gauge, unit: .bytes, "What is used in the period, as it is billed.") {
            $0.quota.map { [.integer($0.usedBytes)] }
        },
        Metric("forwarder_cap_remaining_bytes", .gauge, unit: .bytes, "What is left in the period.") {
            $0.quota?.remainingBytes.map { [.integer($0)] }
        },
        Metric(
            "forwarder_cap_projected_bytes", .gauge, unit: .bytes,
            "What will be used at the period's end if all goes on as it did so far."
        ) { $0.quota.map { [.integer($0.projectedBytes)] } },
        Metric("forwarder_cap_period_start_timestamp_seconds", .gauge, unit: .seconds, "When the period began.") {
            $0.quota.map { [.real($0.periodStart.timeIntervalSince1970)] }
        },
        Metric("forwarder_cap_period_end_timestamp_seconds", .gauge, unit: .seconds, "When the period ends.") {
            $0.quota.map { [.real($0.periodEnd.timeIntervalSince1970)] }
        },
        Metric(
            "forwarder_cap_stage", .gauge,
            "Which stage of the setting cap.stages holds, counted from 1; 0 before the first."
        ) { scrape in scrape.quota.map { _ in [MetricValue(scrape.stage)] } },
        Metric(
            "forwarder_cap_rate_bytes_per_second", .gauge, unit: .bytesPerSecond,
            "To what clients are held, each direction for itself: 0 once they are stopped, absent while they are not."
        ) { $0.quota?.rateBitPerS.map { [.real(Double($0) / 8)] } },
        Metric(
            "forwarder_queue_packets", .gauge, unit: .packets, "Clients' packets that a rate holds up.", by: directions
        ) { $0.queues.map { $0.map { MetricValue($0.waitingPackets) } } },
        Metric(
            "forwarder_queue_bytes", .gauge, unit: .bytes, "Octets of clients' packets that a rate holds up.",
            by: directions
        ) { $0.queues.map { $0.map { MetricValue($0.waitingBytes) } } },
        Metric(
            "forwarder_queue_delay_seconds", .gauge, unit: .seconds,
            "How long packets waited that left of late: on the average, and the longest of this second and the last.",
            by: directions + [MetricLabel("statistic", ["mean", "longest"])]
        ) { scrape in
            // Whole microseconds, which a division by a thousand would tell with sixteen digits.
            func seconds(_ milliseconds: Double) -> MetricValue { .real((milliseconds * 1_000).rounded() / 1_000_000) }
            return scrape.queues.map { $0.flatMap { [seconds($0.delayMeanMs), seconds($0.delayLongestMs)] } }
        },
        Metric(
            "forwarder_queue_marked_packets", .counter, unit: .packets,
            "Packets that told their receiver of congestion (ECN) in place of being dropped.", by: directions
        ) { $0.queues.map { $0.map { .integer($0.marked) } } },
        Metric(
            "forwarder_ledger_finding", .gauge,
            "What is wrong with the ledger, in which the count of the cap is kept: 1 for what is.",
            by: [MetricLabel("finding", QuotaReport.Finding.self)]
        ) { scrape in
            scrape.quota.map { quota in
                QuotaReport.Finding.allCases.map { MetricValue(quota.findings.contains($0)) }
            }
        },
    ]

    private static let directions = [MetricLabel("direction", ["egress", "ingress"])]
}

extension Scrape {
    /// Of egress and of ingress.
    fileprivate var queues: [StatusReport.Queue]? {
        guard let queue = status?.cap?.queue else { return nil }
        return ["egress", "ingress"].map { queue[$0] ?? StatusReport.Queue() }
    }
}
