import FoundationEssentials
import Node

/// The lines that tell how a node stands, each about one thing.
struct Facts {
    private let watch: Watch
    private let view: View
    private let width: Int
    private let style: Style
    private let now: Moment

    init(_ watch: Watch, _ view: View, _ width: Int, _ style: Style, _ now: Moment) {
        self.watch = watch
        self.view = view
        self.width = width
        self.style = style
        self.now = now
    }

    private var status: StatusReport { watch.look.status }

    /// In the order in which they stand; where there are too few rows, the less important are left out.
    func lines(atMost rows: Int) -> [Line] {
        let all: [(importance: Int, line: Line?)] = [
            (12, header), (11, egress), (10, ingress), (5, queue), (7, cap), (2, projection), (8, vpn),
            (9, uplinkGuard), (1, control), (4, drops), (3, tables), (6, note),
        ]
        let there = all.filter { $0.line != nil }
        let least = there.map(\.importance).sorted(by: >).prefix(max(0, rows)).last ?? .max
        return there.filter { $0.importance >= least }.compactMap { fact in
            guard var line = fact.line else { return nil }
            // What it said before it fell silent is no news.
            if isSilent, fact.importance < 12 { line.fade(to: .faint) }
            return line
        }
    }

    var help: Line {
        var line = Line("q quit  p \(view.isPaused ? "go on" : "pause")  r rate  b bytes  a age", .faint)
        if view.mayReveal { line.write("  v \(view.isRevealed ? "mask" : "reveal")", .faint) }
        return line
    }

    // MARK: The node

    private var silentSeconds: Double { now.seconds(since: watch.look.moment) }

    private var isSilent: Bool {
        !view.isPaused && (watch.silence != nil || silentSeconds > 2 * view.interval + 1)
    }

    private var header: Line {
        var line = Line("forwarder", .strong)
        if isSilent {
            line.write("  no answer for \(durationText(seconds: Int(clamping: silentSeconds)))", .bad)
            line.write(watch.silence.map { ": \($0)" } ?? "")
            return line
        }
        switch status.state {
        case .forwarding: line.write("  forwarding", .good)
        case .waiting:
            line.write("  waiting" + (status.waitingFor.map { " for " + $0.joined(separator: ", ") } ?? ""), .warning)
        case .stopping: line.write("  stopping", .warning)
        }
        line.write("  up \(durationText(seconds: age(status.startedAt))), by \(status.io.rawValue)")
        if width >= 100 { line.write(", version \(status.version)", .faint) }
        let end = Line(view.isPaused ? "paused" : clockText(now.date), view.isPaused ? .warning : .faint)
        if line.width + 2 + end.width <= width {
            line.pad(to: width - end.width)
            line.write(end)
        } else if view.isPaused {
            line.write("  ")
            line.write(end)
        }
        return line
    }

    // MARK: Traffic

    private var egress: Line {
        course(
            "egress", .egress, watch.speeds.map { speedText($0.egressBitPerS) }, watch.speeds?.egressPacketsPerS,
            status.forwarded.egress.bytes, \.egress)
    }

    private var ingress: Line {
        course(
            "ingress", .ingress, watch.speeds.map { speedText($0.ingressBitPerS) }, watch.speeds?.ingressPacketsPerS,
            status.forwarded.ingress.bytes, \.ingress)
    }

    private func course(
        _ name: String, _ tone: Tone, _ speed: String?, _ packets: Double?, _ bytes: UInt64,
        _ figure: (Course.Sample) -> Double
    ) -> Line {
        let values = watch.course.samples.map { $0.map(figure) }
        var tail = ""
        if width >= 100 { tail += "  \(packets.map(countText) ?? "-") packets/s" }
        if width >= 120 { tail += "  \(bytesText(bytes)) in all" }
        return course(name, tone, speed ?? "-", values, tail) { "peak " + speedText($0) }
    }

    /// A figure, its course, and how high that is where it is highest.
    private func course(
        _ name: String, _ tone: Tone, _ figure: String, _ values: [Double?], _ tail: String, _ peak: (Double) -> String
    ) -> Line {
        var line = label(name)
        line.write(rightAligned(figure, 12), .strong)
        var tail = tail
        // Two cut figures say less than one whole one.
        let tailWidth = width >= 100 ? (width >= 120 ? 58 : 36) : width >= 60 ? 20 : 0
        let room = width - line.width - 2 - tailWidth
        let shown = values.suffix(max(0, room)).compactMap(\.self).filter(\.isFinite)
        if tailWidth > 0, let highest = shown.max() { tail = "  " + peak(highest) + tail }
        line.write("  ")
        line.write(sparkline(values, width: room, style), tone)
        if tailWidth > 0 { line.write(tail, .faint) }
        return line
    }

    private var queue: Line? {
        guard let cap = status.cap else { return nil }
        let waiting = cap.queue.values.reduce(0) { $0 &+ $1.waitingPackets }
        let longest = cap.queue.values.map(\.delayLongestMs).max() ?? 0
        let values = watch.course.samples.map { $0.map(\.delay) }
        let tail = width >= 100 ? "  \(countText(UInt64(clamping: waiting))) wait" : ""
        return course("queue", .warning, milliseconds(cap.delay), values, tail) { _ in
            "longest " + milliseconds(longest)
        }
    }

    private func milliseconds(_ value: Double) -> String {
        value.isFinite ? decimalText(value, places: 1) + " ms" : "?"
    }

    // MARK: The cap

    private var cap: Line {
        guard let cap = status.cap else { return fact("cap", "none: nothing is limited, and nothing waits") }
        guard let limit = cap.limitBytes else {
            return fact("cap", "\(bytesText(cap.usedBytes)) used, not capped until the period ends")
        }
        let share = limit > 0 ? Double(cap.usedBytes) / Double(limit) : 1
        var line = label("cap")
        line.write(rightAligned(decimalText(share * 100, places: 1) + " %", 12), .strong)
        line.write("  ")
        let tail = width >= 60 ? "  of \(bytesText(limit))" : ""
        let room = width - line.width - (width >= 60 ? 20 : 0)
        let tone: Tone = share >= 1 || cap.rateBitPerS == 0 ? .bad : cap.stage == nil ? .good : .warning
        let projected = watch.look.quota.map { limit > 0 ? Double($0.projectedBytes) / Double(limit) : 1 }
        if room > 4 { line.write(gauge(share, mark: projected, width: room, style), tone) }
        line.write(tail)
        return line
    }

    /// What will have been used when the period ends, and what that leads to.
    private var projection: Line? {
        guard let cap = status.cap else { return nil }
        var line = label("")
        if let quota = watch.look.quota {
            line.write("projected \(bytesText(quota.projectedBytes))")
            if let limit = cap.limitBytes, quota.projectedBytes > limit {
                line.write(", ")
                line.write("over the cap", .bad)
            }
            line.write("; ")
        }
        line.write("\(durationText(seconds: -age(cap.periodEnd))) to go")
        let stage = cap.stage.map { "; \($0)" } ?? "; no stage"
        line.write(stage)
        // Most stages name what they do.
        if let rate = cap.rateBitPerS, !stage.contains("rate"), !stage.contains("stop") {
            line.write(rate == 0 ? ": clients stopped" : ": \(speedText(Double(rate))) each way")
        }
        return line
    }

    // MARK: Separation

    private var vpn: Line {
        guard let vpn = status.vpn else { return fact("vpn", "not looked at yet") }
        var line = label("vpn")
        line.write(vpn.state.rawValue, vpn.state == .up ? .good : .bad)
        line.write(" for \(durationText(seconds: age(vpn.since)))")
        if let because = vpn.because { line.write(": \(because)") }
        if let handshake = vpn.lastHandshake { line.write(", handshake \(durationText(seconds: age(handshake))) ago") }
        let exits = [status.exitAddresses.v4, status.exitAddresses.v6].compactMap(\.self)
        line.write(", leaves by " + (exits.isEmpty ? "no address" : exits.joined(separator: ", ")))
        return line
    }

    private var uplinkGuard: Line {
        guard let guarding = status.guard else { return fact("guard", "none yet") }
        var line = label("guard")
        switch guarding.mode {
        case .on: line.write("on", .good)
        case .observe: line.write("only observes", .bad)
        }
        line.write(" at " + (guarding.interfaces.isEmpty ? "no uplink" : guarding.interfaces.joined(separator: ", ")))
        if guarding.leaked.packets > 0 { line.write(", \(countText(guarding.leaked.packets)) packets LEAKED", .bad) }
        let reasons = guarding.refused.mapValues(\.packets)
        line.write("; refused " + (guarding.refusals == 0 ? "nothing" : countText(guarding.refusals)))
        if let refused = watch.speeds?.refusedPerS, refused > 0 { line.write(", \(countText(refused))/s") }
        if guarding.refusals > 0 { line.write(": " + counted(reasons)) }
        return line
    }

    private var control: Line {
        var line = label("control")
        switch status.controlPlaneMarking {
        case .ebpf: line.write("marked by eBPF")
        case .tailscaled: line.write("by tailscaled's own mark")
        }
        if let dns = status.dns {
            line.write("; names: ")
            if let trouble = dns.trouble {
                line.write(trouble.sentence, .warning)
            } else {
                line.write(
                    "\(countText(dns.counts.direct.answered)) by the uplink, "
                        + "\(countText(dns.counts.vpn.answered)) by the VPN")
            }
        }
        return line
    }

    // MARK: What did not pass, and how full it is

    private var drops: Line {
        let dropped = status.drops.filter { $0.value > 0 }
        guard !dropped.isEmpty else { return fact("drops", "none") }
        var line = label("drops")
        let rates = watch.speeds?.dropsPerS ?? [:]
        line.write(countText(dropped.values.reduce(0) { $0 &+ $1 }))
        if watch.speeds != nil {
            let rate = rates.values.reduce(0, +)
            line.write(", ")
            line.write("\(countText(rate))/s", rate > 0 ? .warning : .plain)
        }
        line.write(": ")
        // Those that happen now, then those that happened most.
        let order = dropped.sorted {
            (rates[$1.key] ?? 0, $1.value, $0.key) < (rates[$0.key] ?? 0, $0.value, $1.key)
        }
        let told = order.map { reason, count in
            "\(reason) \(countText(count))" + (rates[reason].map { " (\(countText($0))/s)" } ?? "")
        }
        line.write(told.joined(separator: ", "))
        return line
    }

    private var tables: Line {
        let opened = watch.speeds.map { ", \(countText($0.flowsOpenedPerS))/s opened" } ?? ""
        return fact(
            "flows",
            "\(status.flows.live) of \(status.flows.capacity)\(opened); bindings \(status.bindings.inUse) of "
                + "\(status.bindings.capacity)")
    }

    private var note: Line? {
        guard let first = status.notes.first else { return nil }
        var line = label("note")
        if status.notes.count > 1 { line.write("1 of \(status.notes.count): ") }
        line.write(first, .warning)
        return line
    }

    // MARK: Words

    private func label(_ name: String) -> Line {
        var line = Line(name, .faint)
        line.pad(to: 9)
        return line
    }

    private func fact(_ name: String, _ text: String) -> Line {
        var line = label(name)
        line.write(text)
        return line
    }

    private func age(_ date: Date) -> Int { Int(clamping: watch.look.moment.date.timeIntervalSince(date)) }

    private func counted(_ counts: [String: UInt64]) -> String {
        counts.filter { $0.value > 0 }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\($0.key) \(countText($0.value))" }.joined(separator: ", ")
    }
}

func rightAligned(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}

/// The time of day, of the clock that logs go by.
func clockText(_ date: Date) -> String {
    let second = Int(clamping: date.timeIntervalSince1970.rounded(.down))
    let day = ((second % 86_400) + 86_400) % 86_400
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(two(day / 3_600)):\(two(day / 60 % 60)):\(two(day % 60))Z"
}

extension Int {
    /// The nearest there is; 0 of what is no number.
    init(clamping value: Double) {
        self = value.isNaN ? 0 : value >= 9e18 ? .max : value <= -9e18 ? .min : Int(value)
    }
}
