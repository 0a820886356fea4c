import FoundationEssentials
import Node

/// How a person wants to see a node.
struct View {
    /// What comes first among flows and clients.
    enum Order { case rate, bytes, age }

    var order = Order.rate
    var isPaused = false
    /// Whether addresses are to be seen as they are.
    var isRevealed = false
    /// Whether that may be changed.
    var mayReveal = false
    /// Whether keys are taken, which the last line then tells.
    var takesKeys = false
    /// Seconds between two looks.
    var interval = 1.0
}

/// What a person sees: at most as many lines as the window has rows, none wider than it has columns.
///
/// Of the facts the less important give way in a small window; flows, clients and events share what is left, and in a wide
/// window the latter two stand side by side.
struct Picture {
    let lines: [Line]

    /// Clients and events go side by side from this width on.
    private static let wide = 120

    init(of watch: Watch, as view: View = View(), in size: Size, _ style: Style, at now: Moment) {
        let rows = max(0, size.rows)
        let columns = max(0, size.columns)
        let hasHelp = view.takesKeys && rows > 4
        let facts = Facts(watch, view, columns, style, now)
        var lines = facts.lines(atMost: rows - (hasHelp ? 1 : 0))
        lines += Self.lists(
            Lists(watch, view), columns: columns, rows: rows - lines.count - (hasHelp ? 1 : 0), style)
        if hasHelp {
            while lines.count < rows - 1 { lines.append(Line()) }
            lines.append(facts.help)
        }
        self.lines = lines.prefix(rows).map { line in
            var line = line
            line.clip(to: columns, style)
            return line
        }
    }

    /// With an end after each line.
    func text(in style: Style) -> String { lines.map { $0.text(in: style) + "\n" }.joined() }

    private static func lists(_ lists: Lists, columns: Int, rows: Int, _ style: Style) -> [Line] {
        guard columns >= wide else {
            let shares = shared(rows, among: [lists.flows.rows, lists.clients.rows, lists.events.rows])
            return lists.flows.lines(shares[0], columns, style) + lists.clients.lines(shares[1], columns, style)
                + lists.events.lines(shares[2], columns, style)
        }
        let shares = shared(rows, among: [lists.flows.rows, max(lists.clients.rows, lists.events.rows)])
        let half = (columns - 2) / 2
        let left = lists.clients.lines(shares[1], half, style)
        let right = lists.events.lines(shares[1], columns - 2 - (left.isEmpty ? -2 : half), style)
        let beside = (0..<max(left.count, right.count)).map { row in
            var line = row < left.count ? left[row] : Line()
            if row < right.count {
                if !left.isEmpty { line.pad(to: half + 2) }
                line.write(right[row])
            }
            return line
        }
        return lists.flows.lines(shares[0], columns, style) + beside
    }

    /// How many rows under its heading each list gets: the first twice as many as any other, as long as it has them.
    private static func shared(_ rows: Int, among wanted: [Int]) -> [Int] {
        var given = wanted.map { _ in 0 }
        var left = rows
        while true {
            // A list that has none yet needs a row for its heading, too.
            let takers = given.indices.filter { given[$0] < wanted[$0] && left >= (given[$0] == 0 ? 2 : 1) }
            guard let next = takers.min(by: { given[$0] * ($0 == 0 ? 1 : 2) < given[$1] * ($1 == 0 ? 1 : 2) }) else {
                return given
            }
            left -= given[next] == 0 ? 2 : 1
            given[next] += 1
        }
    }
}
