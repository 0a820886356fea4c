import Metrics
import Steering

// What leaves by the uplinks, and what is kept from it.

extension Metric {
    static let ofSeparation = [
        Metric(
            "forwarder_guard_enforcing", .gauge,
            "Whether the guard (the program at the uplinks, the interfaces to the line at home) drops what must not leave; 0 while it only observes."
        ) { $0.status?.guard.map { [MetricValue($0.mode == .on)] } },
        Metric(
            "forwarder_control_plane_marked", .gauge,
            "Whether we mark tailscaled's control plane (what it says itself, not its clients) at its cgroup; else only its own mark tells."
        ) { $0.status.map { [MetricValue($0.controlPlaneMarking == .ebpf)] } },
        Metric(
            "forwarder_uplink_bytes", .counter, unit: .bytes,
            "Octets that left by the uplinks, link headers included, by what the guard takes them for (class).",
            by: [MetricLabel("class", GuardCount.classes)]
        ) { scrape in
            scrape.status?.guard.map { report in GuardCount.classes.map { .integer(report.classes[$0]?.bytes ?? 0) } }
        },
        Metric(
            "forwarder_uplink_packets", .counter, unit: .packets, "Packets that left by the uplinks, by class.",
            by: [MetricLabel("class", GuardCount.classes)]
        ) { scrape in
            scrape.status?.guard.map { report in
                GuardCount.classes.map { .integer(report.classes[$0]?.packets ?? 0) }
            }
        },
        Metric(
            "forwarder_uplink_refused_packets", .counter, unit: .packets,
            "Packets that the guard kept from leaving by an uplink, or would have if it did not only observe, by the reason.",
            by: [MetricLabel("reason", GuardCount.refusals)]
        ) { scrape in
            scrape.status?.guard.map { report in
                GuardCount.refusals.map { .integer(report.refused[$0]?.packets ?? 0) }
            }
        },
        Metric(
            "forwarder_leaked_packets", .counter, unit: .packets,
            "Packets that left by an uplink because the guard only observed."
        ) { $0.status?.guard.map { [.integer($0.leaked.packets)] } },
        Metric(
            "forwarder_leaked_bytes", .counter, unit: .bytes,
            "Octets that left by an uplink because the guard only observed."
        ) { $0.status?.guard.map { [.integer($0.leaked.bytes)] } },
    ]
}
