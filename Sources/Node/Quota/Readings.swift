import Cap
import DataPlane
import LinuxSystem
import Steering
import SystemPackage

// What the programs count, as the ledger keeps it.

extension Moment {
    static var now: Moment { Moment(wall: SystemClock.seconds, steady: MonotonicClock().nanosecondsSinceBoot) }
}

extension Epoch {
    /// Of this boot.
    init(map: UInt32) { self.init(bootID: Self.thisBoot, map: map) }

    /// Read once: a reading that could not tell would be of another epoch, and bill everything anew.
    private static let thisBoot: UInt128 = {
        let text = (try? TextFile("/proc/sys/kernel/random/boot_id").read()) ?? []
        let digits = String(decoding: text.filter { $0 != UInt8(ascii: "-") && $0 > 0x20 }, as: UTF8.self)
        return UInt128(digits, radix: 16) ?? 0
    }()
}

extension Reading {
    init(_ reading: MeterReading) {
        var counts = MeterCounts()
        for kind in MeterCounts.Class.allCases {
            counts[.egress, kind] = reading.egress[kind.name]?.bytes ?? 0
            counts[.ingress, kind] = reading.meters["uplink_\(kind.name)"]?.bytes ?? 0
        }
        counts[tunnel: .egress] = reading.meters["tunnel_egress"]?.bytes ?? 0
        counts[tunnel: .ingress] = reading.meters["tunnel_ingress"]?.bytes ?? 0
        self.init(epoch: Epoch(map: reading.map), counts: counts)
    }
}

extension MeterCounts.Class {
    /// As the programs call it, and scripts see it. Never renamed.
    var name: String { "\(self)" }
}

extension Pins {
    /// Those of the ledger; nil where there is none, or none is wanted.
    init?(of settings: NodeSettings) {
        guard settings.cap.limit != nil else { return nil }
        self.init(ofLedgerIn: settings.stateDirectory)
    }

    init?(ofLedgerIn directory: String) {
        guard let number = LedgerFile.number(in: directory) else { return nil }
        let last = try? LedgerFile.read(in: directory)?.entry?.account.reading.epoch
        self.init(ofBill: number, lastMadeOf: last.flatMap { $0 == Epoch(map: $0.map) ? $0.map : nil } ?? 0)
    }
}

extension Gate {
    init(_ passage: Throttle.Passage) {
        self =
            switch passage {
            case .unlimited: .open
            case .limited(let rate): .limited(bitsPerSecond: rate.bitsPerSecond)
            case .stopped: .closed
            }
    }
}
