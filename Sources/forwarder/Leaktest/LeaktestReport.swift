import Node

/// What `forwarder leaktest` answers.
struct LeaktestReport: Answer {
    /// One flow in one state, over all repetitions.
    struct Row: Codable, Equatable {
        let state: String
        let flow: String
        /// Sent; of what nobody sent on purpose, the packets seen.
        var probes: Int
        /// Where they end. Less may arrive there, while a state comes and goes.
        let expected: Place
        /// Probes that were seen there, on each side.
        var uplink: Int
        var vpn: Int
        /// Packets where none of the flow may be.
        var leaked: Int
    }

    struct Recovery: Codable, Equatable {
        let p50, p99: Double
    }

    var schema = "forwarder.leaktest/1"
    let rows: [Row]
    /// Without the packets of the client that never pauses, and those that nobody sent.
    let probes: Int
    let leaked: Int
    /// Whether the observers saw what leaks when nothing holds it back. If not, they prove nothing.
    let positiveControlSeen: Bool
    /// From a fault's end to the echo of what the client says then, in both families.
    let recoveryMs: Recovery?
    /// Faults after which no echo came in time.
    let notRecovered: Int
    /// How long a running node was watched, where nothing was provoked.
    let watchedSeconds: Int?

    /// - Parameters:
    ///   - rows: of the same state and flow, one of each repetition.
    ///   - recoveries: in milliseconds.
    ///   - watchedSeconds: where nothing was provoked.
    init(
        _ rows: [Row], positiveControlSeen: Bool, recoveries: [Double], notRecovered: Int = 0,
        watchedSeconds: Int? = nil
    ) {
        let sums = Self.sums(rows)
        self.rows = sums
        probes = sums.reduce(0) { $0 + ($1.isProbed ? $1.probes : 0) }
        leaked = sums.reduce(0) { $0 + $1.leaked }
        self.positiveControlSeen = positiveControlSeen
        recoveryMs = recoveries.isEmpty ? nil : Recovery(recoveries)
        self.notRecovered = notRecovered
        self.watchedSeconds = watchedSeconds
    }

    /// Rows of the same state and flow added up.
    static func sums(_ rows: [Row]) -> [Row] {
        var sums: [Row] = []
        var places: [[String]: Int] = [:]
        for row in rows {
            if let place = places[[row.state, row.flow]] {
                sums[place].probes += row.probes
                sums[place].uplink += row.uplink
                sums[place].vpn += row.vpn
                sums[place].leaked += row.leaked
            } else {
                places[[row.state, row.flow]] = sums.count
                sums.append(row)
            }
        }
        return sums
    }

    /// A node that does not come back is no answer to a leak.
    var ok: Bool { leaked == 0 && positiveControlSeen && notRecovered == 0 }

    var text: String {
        if let watchedSeconds { return watchedText(watchedSeconds) }
        var states: [String] = []
        for row in rows where !states.contains(row.state) { states.append(row.state) }
        let table = states.map { state in
            let rows = rows.filter { $0.state == state }
            func sum(_ rows: [Row], _ count: (Row) -> Int) -> String { "\(rows.reduce(0) { $0 + count($1) })" }
            let probed = rows.filter(\.isProbed)
            return [
                state, sum(probed, \.probes), sum(probed, \.uplink), sum(probed, \.vpn), sum(probed, \.missing),
                sum(rows.filter { $0.flow == Ledger.chatter }, \.probes), sum(rows, \.leaked),
            ]
        }
        let leaks = rows.filter { $0.leaked > 0 }.map { "\($0.leaked)  \($0.flow), \($0.state)" }
        return textTable([["state", "probes", "uplink", "vpn", "lost", "stream", "leaked"]] + table) + "\n"
            + (leaks.isEmpty ? "" : "Leaked:\n" + leaks.map { "  \($0)\n" }.joined() + "\n")
            + sentence + "\n"
    }

    private var sentence: String {
        guard positiveControlSeen else { return "The control saw nothing: this test proves nothing." }
        let recovery = recoveryMs.map {
            "; traffic came back within \(decimalText($0.p50, places: 0)) ms, 99 of 100 times within "
                + "\(decimalText($0.p99, places: 0)) ms"
        }
        let lost = notRecovered > 0 ? "; after \(notRecovered) faults it did not come back" : ""
        return (leaked == 0 ? "Nothing leaked: \(probes) probes" : "It LEAKS: \(leaked) packets of \(probes) probes")
            + (recovery ?? "") + lost + "."
    }
}

extension LeaktestReport.Row {
    /// Whether each packet has a nonce of its own.
    var isProbed: Bool { flow != Ledger.chatter && flow != Ledger.strays }

    /// Probes that did not reach where they belong. Of what never pauses, some are always on their way.
    var missing: Int {
        guard isProbed else { return 0 }
        return switch expected {
        case .uplink: max(0, probes - uplink)
        case .vpn: max(0, probes - vpn)
        case .nowhere: 0
        }
    }
}

extension LeaktestReport.Recovery {
    /// - Parameter samples: at least one.
    init(_ samples: [Double]) {
        let sorted = samples.sorted()
        /// The least of them that so many hundredths do not exceed.
        func percentile(_ hundredths: Int) -> Double {
            sorted[max(0, (sorted.count * hundredths + 99) / 100 - 1)]
        }
        p50 = percentile(50)
        p99 = percentile(99)
    }
}
