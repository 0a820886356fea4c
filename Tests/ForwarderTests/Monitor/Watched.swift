import Foundation

@testable import Node
@testable import forwarder

/// Nodes as a monitor may see them, at moments that are always the same.
enum Watched {
    static let start = Date(timeIntervalSince1970: 1_763_683_200)

    static func moment(_ second: Double) -> Moment {
        Moment(nanoseconds: UInt64(second * 1e9), date: start.addingTimeInterval(second))
    }

    /// So many seconds after the first look.
    static func look(_ second: Int) -> Look {
        let moved = UInt64(second)
        var status = StatusReport(
            state: .forwarding, io: .uring, ioReason: "the kernel grants it",
            flows: .init(live: 123, capacity: 65_536, opened: 700 + 3 * moved, evicted: 1, expired: 570),
            bindings: .init(inUse: 119, capacity: 16_384), startedAt: start.addingTimeInterval(-3_725), pid: 42)
        status.version = "0.1.0"
        status.exitAddresses = .init(v4: "198.51.100.7", v6: "2001:db8:51::7")
        status.controlPlaneMarking = .ebpf
        // Up and down again, some ten times a minute, and now and then nothing.
        var wave: UInt64 = 0
        for past in 0...second where past % 17 != 0 { wave += UInt64(past % 7) * 900_000 }
        status.forwarded.egress = .init(packets: 1_000 * moved, bytes: wave / 12, superPackets: 2)
        status.forwarded.ingress = .init(packets: 2_000 * moved, bytes: wave, superPackets: 2)
        status.guard = .init(
            mode: .on, interfaces: ["eth0"], classes: ["control": .init(packets: 20, bytes: 1_500)],
            refused: ["client_dns": .init(packets: 2, bytes: 140), "unmarked": .init(packets: 3, bytes: 180)])
        status.vpn = .init(state: .up, since: start.addingTimeInterval(-3_700))
        status.vpn?.lastHandshake = moment(Double(second)).date.addingTimeInterval(-42)
        status.drops = ["no_flow": 1_200 + 5 * moved, "truncated": 3, "never": 0]
        let flows = (0..<20).map { flow($0, second) }
        return Look(
            moment: moment(Double(second)), status: status,
            flows: FlowsReport(busiest: flows, total: 123, addresses: .masked), quota: nil, clients: nil, events: [])
    }

    static func flow(_ index: Int, _ second: Int) -> FlowsReport.Flow {
        let bytes = UInt64(20 - index) * 1_000_000
        let speed = index % 3 == 0 ? UInt64(index + 1) * 100_000 : 0
        let remote = index % 4 == 1 ? "2001:db8:\(index)::9" : "203.0.\(index).5"
        return .init(
            transport: index % 5 == 4 ? "udp" : "tcp", client: "100.64.\(index % 3).9", clientPort: 40_000,
            remote: remote, remotePort: index % 2 == 0 ? 443 : 22_000, outsidePort: 16_384,
            state: index % 5 == 4 ? "confirmed" : "established", egressPackets: 1,
            egressBytes: bytes / 10 + speed / 20 * UInt64(second), ingressPackets: 2,
            ingressBytes: bytes + speed * UInt64(second), firstSeen: start.addingTimeInterval(Double(-60 * index - 5)),
            lastSeen: moment(Double(second)).date.addingTimeInterval(Double(-index)))
    }

    /// Looks once a second, each changed by `change`.
    static func watch(seconds: Int = 90, _ change: (inout Look) -> Void = { _ in }) -> Watch {
        func changed(_ second: Int) -> Look {
            var look = look(second)
            change(&look)
            return look
        }
        var watch = Watch(changed(0))
        for second in 1...seconds { watch.take(changed(second)) }
        return watch
    }

    static let events: [Look.Event] = [
        .init(at: start.addingTimeInterval(-3_725), level: "info", message: "forwarding"),
        .init(at: start.addingTimeInterval(-60), level: "warning", message: "the VPN is stale"),
        .init(at: start.addingTimeInterval(-20), level: "info", message: "the VPN is up"),
    ]

    /// With a cap that holds clients up.
    static func cap(_ look: inout Look) {
        let second = look.moment.seconds(since: moment(0))
        look.status.cap = .init(
            limitBytes: 35_000_000_000, usedBytes: 33_600_000_000, remainingBytes: 1_400_000_000,
            stage: "95% rate 20Mbit/s", rateBitPerS: 20_000_000, periodEnd: start.addingTimeInterval(800_000))
        look.status.cap?.queue = [
            "egress": .init(waitingPackets: 2, delayMeanMs: 3.2, delayLongestMs: 5),
            "ingress": .init(
                waitingPackets: 40, delayMeanMs: 10 + 8 * (second / 9).truncatingRemainder(dividingBy: 1),
                delayLongestMs: 90),
        ]
        look.quota = quota(projected: 41_000_000_000)
    }

    static func quota(projected: UInt64) -> QuotaReport? {
        try? QuotaReport(
            json: Data(
                """
                {"schema": "forwarder.quota/1", "period_start": "2025-11-01T00:00:00Z", "period_end": "2025-12-01T00:00:00Z",
                 "counted_since": "2025-11-01T00:00:00Z", "granted_bytes": 0, "used_bytes": 33600000000,
                 "projected_bytes": \(projected), "zone": "UTC", "meter": "uplink", "direction": "both",
                 "charged_bytes": 0, "uplink": {}, "tunnel": {}, "history": [], "findings": [], "notes": [],
                 "is_running": true}
                """.utf8))
    }
}
