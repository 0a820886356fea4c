import DataPlane
import FoundationEssentials
import LinuxSystem
import Metrics

// What the node is, and what it costs.

extension MetricLabel {
    /// One series for each of a closed list of states, of which one is 1.
    init<State: RawRepresentable<String> & CaseIterable>(_ name: String, _ states: State.Type) {
        self.init(name, states.allCases.map(\.rawValue))
    }
}

extension RawRepresentable<String> where Self: CaseIterable & Equatable {
    /// 1 for the state that it is, 0 for any other.
    static func values(_ state: Self?) -> [MetricValue?] { allCases.map { MetricValue($0 == state) } }
}

extension Metric {
    static let ofTheNode = [
        Metric(
            "forwarder_build_info", .gauge, "Which version runs; always 1.",
            by: [MetricLabel("version", [version])]
        ) { _ in [.integer(1)] },
        Metric(
            "forwarder_state", .gauge,
            "Whether the node forwards, waits for an edge (Tailscale's interface or the VPN's), or stops: 1 for what it does.",
            by: [MetricLabel("state", StatusReport.State.self)]
        ) { $0.status.map { StatusReport.State.values($0.state) } },
        Metric(
            "forwarder_check", .gauge,
            "Whether a check of forwarder health is well, as of the last few seconds; docs/health.md has what each asks.",
            by: [MetricLabel("check", HealthReport.Check.self)]
        ) { scrape in scrape.health.map { health in health.checks.map { MetricValue($0.ok) } } },
        Metric(
            "forwarder_io", .gauge,
            "By which calls packets are read and written, io_uring's or poll's: 1 for what is in use.",
            by: [MetricLabel("io", IOKind.self)]
        ) { $0.status.map { IOKind.values($0.io) } },
        Metric(
            "forwarder_session_start_timestamp_seconds", .gauge, unit: .seconds,
            "When the packet loop (the thread that moves clients' packets) was started."
        ) {
            $0.status.map { [.real($0.startedAt.timeIntervalSince1970)] }
        },
        Metric("forwarder_loop_cpu_seconds", .counter, unit: .seconds, "Processor time of the packet loop.") {
            $0.loopSeconds.map { [.real($0)] }
        },
    ]

    static let ofTheProcess = [
        Metric(
            "forwarder_admin_requests", .counter, "Requests to the admin endpoint, by how they ended.",
            by: [MetricLabel("outcome", ["answered", "unauthorized", "rejected"])]
        ) { scrape in
            let counts = scrape.requests
            return [.integer(counts.answered), .integer(counts.unauthorized), .integer(counts.rejected)]
        },
        Metric("process_cpu_seconds", .counter, unit: .seconds, "Processor time of the process, user and system.") {
            [.real($0.process.processorSeconds)]
        },
        Metric("process_resident_memory_bytes", .gauge, unit: .bytes, "Memory that the process has resident.") {
            [.integer($0.process.residentBytes)]
        },
        Metric("process_open_fds", .gauge, "Descriptors that are open.") { [MetricValue($0.process.openDescriptors)] },
        Metric("process_start_time_seconds", .gauge, unit: .seconds, "When the process was started.") { _ in
            [.real(ProcessFigures.startedAt)]
        },
    ]
}
