import DataPlane
import Metrics

// The tables, and what flows were like: never whose they were.

extension Metric {
    static let ofFlows = [
        Metric("forwarder_flows", .gauge, "Flows (conversations of clients, both ways together) that are live.") {
            $0.snapshot.map { [MetricValue($0.flowsLive)] }
        },
        Metric("forwarder_flows_limit", .gauge, "Flows that there is room for.") {
            $0.snapshot.map { [MetricValue($0.flowsCapacity)] }
        },
        Metric("forwarder_opened_flows", .counter, "Flows that were begun.") {
            $0.statistics.map { [.integer($0.flowsOpened)] }
        },
        Metric(
            "forwarder_ended_flows", .counter,
            "Flows that ended: by themselves or unused, for want of room, or with the exit address by which they left.",
            by: [MetricLabel("cause", ["expired", "evicted", "flushed"])]
        ) { scrape in
            scrape.snapshot.map {
                [
                    .integer($0.statistics.flowsExpired), .integer($0.statistics.flowsEvicted),
                    .integer($0.flowsFlushed),
                ]
            }
        },
        Metric(
            histogram: "forwarder_flow_bytes", unit: .bytes, "Octets of flows that have ended, both ways together.",
            of: \.bytes),
        Metric(
            histogram: "forwarder_flow_duration_seconds", unit: .seconds,
            "Time from the first packet to the last of flows that have ended.", of: \.seconds),
        Metric(
            histogram: "forwarder_flow_rate_bytes_per_second", unit: .bytesPerSecond,
            "Mean rate of flows that have ended, both ways together.", of: \.bytesPerSecond),
        Metric(
            "forwarder_bindings", .gauge, "Ports of the exit address that flows borrow, of TCP or UDP, whichever more."
        ) { $0.snapshot.map { [MetricValue($0.bindingsInUse)] } },
        Metric("forwarder_bindings_limit", .gauge, "Ports that may be borrowed.") {
            $0.status.map { [MetricValue($0.bindings.capacity)] }
        },
    ]

    private init(
        histogram name: String, unit: MetricFamily.Unit, _ help: String,
        of place: any KeyPath<EndedFlows, Distribution> & Sendable
    ) {
        let bounds = EndedFlows()[keyPath: place].buckets.compactMap(\.bound).map(Double.init)
        self.init(histogram: name, unit: unit, help, bounds: bounds) { scrape in
            scrape.snapshot.map { snapshot in
                let distribution = snapshot.endedFlows[keyPath: place]
                return MetricBuckets(counts: distribution.buckets.map(\.count), sum: .integer(distribution.sum))
            }
        }
    }
}
