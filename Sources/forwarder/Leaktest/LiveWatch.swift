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
            Self.rows(seen, before.guard, after.guard), positiveControlSeen: !seen.isEmpty, recoveries: [],
            watchedSeconds: seconds)
    }

    static let state = "live"
    static let seen = "seen: "

    private static func rows(
        _ seen: [UplinkWatch.Source: Int], _ before: StatusReport.Guard?, _ after: StatusReport.Guard?
    ) -> [LeaktestReport.Row] {
        var rows = UplinkWatch.Source.allCases.map { source in
            let count = seen[source] ?? 0
            let name: String
            switch source {
            case .own: name = "from the uplink's own address"
            case .local: name = "from clients, to what is kept local"
            case .client: name = "from a client's or the exit address"
            case .other: name = "from other addresses, not judged"
            }
            return row(Self.seen + name, count, source == .client ? .nowhere : .uplink, leaked: source == .client)
        }
        guard let after else { return rows }
        func since(_ old: StatusReport.Guard.Tally?, _ new: StatusReport.Guard.Tally?) -> Int {
            Int(clamping: (new?.packets ?? 0) - min(new?.packets ?? 0, old?.packets ?? 0))
        }
        for (name, tally) in after.classes.sorted(by: { $0.key < $1.key }) {
            rows.append(row("guard: \(name)", since(before?.classes[name], tally), .uplink))
        }
        for (name, tally) in after.refused.sorted(by: { $0.key < $1.key }) {
            rows.append(row("guard: refused, \(name)", since(before?.refused[name], tally), .nowhere))
        }
        // A client's packet that a guard only observed is a leak once.
        let told = since(before?.leaked, after.leaked)
        rows.append(row("guard: let pass", max(0, told - (seen[.client] ?? 0)), .nowhere, leaked: true))
        return rows
    }

    /// - Parameter leaked: whether each of the packets leaks.
    private static func row(
        _ flow: String, _ count: Int, _ expected: Place, leaked: Bool = false
    ) -> LeaktestReport.Row {
        .init(
            state: state, flow: flow, probes: count, expected: expected,
            uplink: expected == .uplink || leaked ? count : 0, vpn: 0, leaked: leaked ? count : 0)
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
