import Glibc
import Lab
import LinuxSystem
import Synchronization

/// What `forwarder monitor` shows a person at the node, and its metrics tell Prometheus, while a client downloads as fast as
/// its stage of the cap allows.
struct Sight {
    /// Line by line, addresses masked.
    let picture: [String]
    /// The headline of the metrics, each as Prometheus reads it, and how many there are in all.
    let metrics: [String]
    let series: Int
    /// Of a node that forwards, to a client that gets something.
    let isRight: Bool
}

extension Sight {
    /// At the uplink, by both tunnels, more than twice the 10 MB after which the rate holds: the rest takes three seconds and more.
    private static let download = 12_000_000

    private static let headline = [
        #"forwarder_state{state="forwarding"}"#, #"forwarder_vpn_state{state="up"}"#, "forwarder_leaked_packets_total",
        "forwarder_flows", "forwarder_cap_used_bytes", "forwarder_cap_rate_bytes_per_second",
        #"forwarder_queue_delay_seconds{direction="ingress",statistic="mean"}"#,
    ]

    init(in lab: WireGuardLab) throws(LabFailure) {
        let directory = "/run/state"
        try lab.node.run(["mkdir", directory])
        let forwarder = try ForwarderProcess(
            on: lab, ["--cap", "1GB", "--cap-stages", "1% rate 20Mbit/s", "--state-dir", directory])
        let download = try Download(of: Self.download, in: lab)
        usleep(1_000_000)
        let report: MonitorReport = try forwarder.ask(["monitor", "--once"])
        let told = try lab.node.run(["curl", "--silent", "--show-error", "http://127.0.0.1:10586/metrics"])
        let samples = told.split(separator: "\n").filter { !$0.hasPrefix("#") }
        metrics = Self.headline.compactMap { name in samples.first { $0.hasPrefix(name + " ") }.map(String.init) }
        series = samples.count
        download.awaitEnd()
        forwarder.stop()
        picture = report.picture
        isRight =
            report.status.state == .forwarding && report.speeds?.ingressBitPerS ?? 0 > 0
            && metrics.count == Self.headline.count
    }
}

/// Goes on beside what is looked at. How it ends does not matter.
private final class Download: Sendable {
    private let isOver = Mutex(false)

    init(of bytes: Int, in lab: WireGuardLab) throws(LabFailure) {
        do throws(KernelError) {
            _ = try Thread(named: "download") { [self] in
                _ = try? Transfer(
                    .download, bytes: bytes, client: lab.client, server: lab.internet, at: lab.internetAddress.v4)
                isOver.withLock { $0 = true }
            }
        } catch {
            throw LabFailure(couldNot: "begin a download", because: "\(error)")
        }
    }

    func awaitEnd() {
        while !isOver.withLock({ $0 }) { usleep(10_000) }
    }
}
