import Glibc
import Lab
import LinuxSystem
import Node

/// Watches the node that runs here, and provokes nothing: what leaves by its uplink, and what its guard says that it refused.
///
/// The observer stands behind the guard and sees no marks. So it judges by addresses alone: a packet with a client's own, or
/// with the one that clients have on the VPN, leaks; whether one with the uplink's own address should have left, the guard's
/// counters tell, which stand before it.
struct LiveWatch {
    private let control: String
    private let isOver: () -> Bool

    init(control socket: String, until isOver: @escaping () -> Bool) {
        control = socket
        self.isOver = isOver
    }

    func watch(seconds: Int) throws -> LeaktestReport {
        let before: StatusReport = try ControlClient.ask(.status, at: control)
        guard let uplink = before.edges.uplink else {
            throw Refusal(
                couldNot: "watch the uplink", because: "the node has none", remedy: "forwarder doctor",
                exitCode: .unavailable)
        }
        let exits = [before.exitAddresses.v4, before.exitAddresses.v6].compactMap(\.self)
        let watch: UplinkWatch
        do throws(KernelError) {
            watch = try UplinkWatch(interface: uplink.name, exits: exits, local: before.local)
        } catch {
            throw Refusal(couldNot: "watch \(uplink.name)", error)
        }
        let begin = ContinuousClock.now
        while begin.duration(to: .now) < .seconds(seconds), !isOver() { usleep(50_000) }
        let seen = watch.take()
        let after: StatusReport = try ControlClient.ask(.status, at: control)
        guard watch.missed == 0 else {
            throw Refusal(
                couldNot: "watch \(uplink.name)", because: "\(watch.missed) packets came too fast to be seen",
                remedy: "forwarder leaktest --live --seconds \(max(1, seconds / 10))", exitCode: .unavailable)
        }
        return LeaktestReport(
            Self.rows(seen) + Self.rows(before, after), positiveControlSeen: !seen.isEmpty, recoveries: [],
            watchedSeconds: seconds)
    }

    static let state = "live"
    static let seen = "seen: "

    private static func rows(_ seen: [UplinkWatch.Source: Int]) -> [LeaktestReport.Row] {
        UplinkWatch.Source.allCases.map { source in
            let count = seen[source] ?? 0
            let name: String
            switch source {
            case .own: name = "from the uplink's own address"
            case .local: name = "from clients, to what is kept local"
            case .client: name = "from a client's or the exit address"
            case .other: name = "from other addresses, not judged"
            }
            return row(Self.seen + name, count, source == .client ? .nowhere : .uplink)
        }
    }

    private static func rows(_ before: StatusReport, _ after: StatusReport) -> [LeaktestReport.Row] {
        []
    }

    private static func row(_ flow: String, _ count: Int, _ expected: Place) -> LeaktestReport.Row {
        .init(
            state: state, flow: flow, probes: count, expected: expected, uplink: count, vpn: 0,
            leaked: expected == .nowhere ? count : 0)
    }
}

extension LeaktestReport {
    func watchedText(_ seconds: Int) -> String {
        let table = [["class", "packets", "leaked"]] + rows.map { [$0.flow, "\($0.probes)", "\($0.leaked)"] }
        let left = rows.filter { $0.flow.hasPrefix(LiveWatch.seen) }.reduce(0) { $0 + $1.probes }
        let verdict: String
        if left == 0 {
            verdict = "In \(seconds) s nothing left by the uplink: this proves nothing."
        } else if leaked == 0 {
            verdict = "In \(seconds) s \(left) packets left by the uplink, and none of them leaked."
        } else {
            verdict = "It LEAKS: \(leaked) packets in \(seconds) s."
        }
        return textTable(table) + "\n\(verdict) Nothing was provoked; without --live it is.\n"
    }
}
