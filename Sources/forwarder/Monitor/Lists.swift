import FoundationEssentials
import Node

/// The lists below the facts: who moves how much, and what happened.
struct Lists {
    let flows: Table
    let clients: Table
    let events: Table

    init(_ watch: Watch, _ view: View) {
        flows = Self.flows(watch, view)
        clients = Self.clients(watch, view)
        events = Self.events(watch)
    }

    private static func flows(_ watch: Watch, _ view: View) -> Table {
        func bytes(_ flow: Rated<FlowsReport.Flow>) -> UInt64 {
            flow.subject.egressBytes &+ flow.subject.ingressBytes
        }
        let order = watch.flows.sorted { first, second in
            switch view.order {
            case .rate where first.both != second.both: return first.both > second.both
            case .age where first.subject.firstSeen != second.subject.firstSeen:
                return first.subject.firstSeen < second.subject.firstSeen
            default: return bytes(first) > bytes(second)
            }
        }
        let date = watch.look.moment.date
        func age(_ since: Date) -> String { shortText(seconds: Int(clamping: date.timeIntervalSince(since))) }
        let mark: (View.Order, String) -> String = { $0 == view.order ? "*" + $1 : $1 }
        return Table([
            .init("flow", order.map(\.subject.transport), importance: 6, isStrong: true),
            .init(
                "client", order.map { FlowsReport.endpoint($0.subject.client, $0.subject.clientPort) },
                importance: 8, least: 21),
            .init(
                "remote", order.map { FlowsReport.endpoint($0.subject.remote, $0.subject.remotePort) },
                importance: 9, least: 21),
            .init("state", order.map(\.subject.state), importance: 2),
            .init(mark(.rate, "egress"), order.map { rateText($0.egress) }, importance: 7, atLeast: 12),
            .init(mark(.rate, "ingress"), order.map { rateText($0.ingress) }, importance: 7, atLeast: 12),
            .init(
                mark(.bytes, "bytes"),
                order.map { bytesText(bytes($0)) }, importance: view.order == .bytes ? 7 : 5, atLeast: 9),
            .init(
                mark(.age, "age"), order.map { age($0.subject.firstSeen) }, importance: view.order == .age ? 7 : 4,
                atLeast: 6),
            .init("idle", order.map { age($0.subject.lastSeen) }, importance: 1, atLeast: 6),
        ])
    }

    private static func clients(_ watch: Watch, _ view: View) -> Table {
        func bytes(_ client: Look.Client) -> Double { Double(client.egressBytes) + Double(client.ingressBytes) }
        let order = watch.clients.sorted { first, second in
            if view.order == .rate, first.both != second.both { return first.both > second.both }
            let (one, other) = (bytes(first.subject), bytes(second.subject))
            return one == other ? first.subject.client < second.subject.client : one > other
        }
        var columns: [Table.Column] = [
            .init("client", order.map(\.subject.client), importance: 9, least: 12, isStrong: true)
        ]
        if order.contains(where: { $0.subject.name != nil }) {
            columns.append(.init("name", order.map { $0.subject.name ?? "" }, importance: 8, least: 8))
        }
        columns += [
            .init("flows", order.map { "\($0.subject.flows)" }, importance: 4, atLeast: 5),
            .init("egress", order.map { rateText($0.egress) }, importance: 7, atLeast: 12),
            .init("ingress", order.map { rateText($0.ingress) }, importance: 7, atLeast: 12),
            .init(
                "bytes", order.map { bytesText($0.subject.egressBytes &+ $0.subject.ingressBytes) }, importance: 6,
                atLeast: 9),
        ]
        return Table(columns)
    }

    private static func events(_ watch: Watch) -> Table {
        let events = watch.events.suffix(32)
        return Table(
            [
                .init("events", events.map { clockText($0.at) }, importance: 2),
                .init("", events.map(\.level), importance: 1),
                .init("", events.map(\.message), importance: 3, least: 8),
            ], showsTheLast: true)
    }

    /// Nothing where it is not known, or is nothing.
    private static func rateText(_ rate: Double?) -> String { rate.map { $0 > 0 ? speedText($0) : "-" } ?? "-" }
}

/// A span of time in its largest unit.
func shortText(seconds: Int) -> String {
    let seconds = max(0, seconds)
    switch seconds {
    case 172_800...: return "\(seconds / 86_400) d"
    case 7_200...: return "\(seconds / 3_600) h"
    case 120...: return "\(seconds / 60) min"
    default: return "\(seconds) s"
    }
}

/// Columns under headings, fitted to a width: the least important are left out, then those that may be cut are.
struct Table {
    struct Column {
        let heading: String
        let cells: [String]
        let importance: Int
        /// How narrow it may become; nil of one that is never cut.
        let least: Int?
        let isNumeric: Bool
        let isStrong: Bool
        let width: Int

        init(_ heading: String, _ cells: [String], importance: Int, least: Int? = nil, isStrong: Bool = false) {
            self.init(heading, cells, importance, least: least, isNumeric: false, isStrong: isStrong, atLeast: 0)
        }

        /// Of figures: set to the right, and wide enough not to jump while they change.
        init(_ heading: String, _ cells: [String], importance: Int, atLeast width: Int) {
            self.init(heading, cells, importance, least: nil, isNumeric: true, isStrong: false, atLeast: width)
        }

        private init(
            _ heading: String, _ cells: [String], _ importance: Int, least: Int?, isNumeric: Bool, isStrong: Bool,
            atLeast: Int
        ) {
            self.heading = heading
            self.cells = cells
            self.importance = importance
            self.least = least
            self.isNumeric = isNumeric
            self.isStrong = isStrong
            width = max(atLeast, cells.reduce(heading.unicodeScalars.count) { max($0, $1.unicodeScalars.count) })
        }

        fileprivate var leastWidth: Int { min(width, least ?? width) }
    }

    private let columns: [Column]
    private let showsTheLast: Bool

    init(_ columns: [Column], showsTheLast: Bool = false) {
        self.columns = columns
        self.showsTheLast = showsTheLast
    }

    /// Under the heading.
    var rows: Int { columns.first?.cells.count ?? 0 }

    /// A heading and so many rows; nothing at all of none.
    func lines(_ count: Int, _ width: Int, _ style: Style) -> [Line] {
        let count = min(count, rows)
        guard count > 0 else { return [] }
        let (kept, widths) = fitted(to: width)
        func line(_ cells: [String], heading: Bool) -> Line {
            var line = Line()
            var end = 0
            for (index, column) in kept.enumerated() {
                let tone: Tone = heading ? .faint : column.isStrong ? .strong : .plain
                var cell = Line(cells[index], tone)
                cell.clip(to: widths[index], style)
                if column.isNumeric { line.pad(to: end + widths[index] - cell.width) }
                line.write(cell)
                end += widths[index]
                line.pad(to: end)
                if index < kept.count - 1 { line.write("  ") }
                end += 2
            }
            line.clip(to: max(0, width), style)
            return line
        }
        let shown = showsTheLast ? rows - count..<rows : 0..<count
        return [line(kept.map(\.heading), heading: true)]
            + shown.map { row in line(kept.map { $0.cells[row] }, heading: false) }
    }

    private func fitted(to width: Int) -> (kept: [Column], widths: [Int]) {
        var kept = columns
        func sum(_ widths: [Int]) -> Int { widths.reduce(2 * max(0, widths.count - 1), +) }
        while kept.count > 1, sum(kept.map(\.leastWidth)) > width,
            let least = kept.indices.min(by: { kept[$0].importance < kept[$1].importance })
        {
            kept.remove(at: least)
        }
        var widths = kept.map(\.leastWidth)
        var left = width - sum(widths)
        // The widest cut first, letter by letter: a few dozen in all.
        while left > 0,
            let next = kept.indices.filter({ widths[$0] < kept[$0].width }).min(by: { widths[$0] < widths[$1] })
        {
            widths[next] += 1
            left -= 1
        }
        return (kept, widths)
    }
}
