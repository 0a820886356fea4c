/// A terminal's screen as SVG, which needs no font of a certain width: each run of text is fitted to its columns, and what
/// bars are made of is drawn.
struct Drawing {
    private static let cell = (width: 8.4, height: 18.0)
    private static let margin = 12.0

    let text: String

    init(_ screen: TerminalScreen, columns: Int, rows: Int) {
        let width = Double(columns) * Self.cell.width + 2 * Self.margin
        let height = Double(rows) * Self.cell.height + 2 * Self.margin
        var text = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.number(width)) \(Self.number(height))" \
            font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
            <rect width="100%" height="100%" rx="6" fill="#0d1117"/>

            """
        for (row, cells) in screen.rows.sorted(by: { $0.key < $1.key }) {
            var rest = Array(cells.enumerated())[...]
            while let first = rest.first {
                let run = rest.prefix { $0.element.rendition == first.element.rendition }
                rest = rest.dropFirst(run.count)
                text += Self.drawn(run.map(\.element), row: row, column: first.offset)
            }
        }
        self.text = text + "</svg>\n"
    }

    /// Cells of one colour.
    private static func drawn(_ cells: [TerminalScreen.Cell], row: Int, column: Int) -> String {
        let colour = colour(cells[0].rendition)
        let top = margin + Double(row - 1) * cell.height
        func left(_ index: Int) -> Double { margin + Double(column + index) * cell.width }
        var drawn = ""
        var word = (start: 0, text: "")
        func end() {
            let trimmed = word.text.drop { $0 == " " }
            let start = word.start + word.text.count - trimmed.count
            let text = String(trimmed.reversed().drop { $0 == " " }.reversed())
            word.text = ""
            guard !text.isEmpty else { return }
            let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
            drawn += """
                <text x="\(number(left(start)))" y="\(number(top + 13.5))" fill="\(colour)" xml:space="preserve" \
                textLength="\(number(Double(text.count) * cell.width))" lengthAdjust="spacingAndGlyphs"\
                \(cells[0].rendition.contains(";1") ? " font-weight=\"600\"" : "")>\(escaped)</text>

                """
        }
        for (index, cell) in cells.enumerated() {
            if let (part, width, opacity) = block(cell.character) {
                let middle = left(index) + (Self.cell.width - width) / 2
                end()
                let height = Self.cell.height * part
                drawn += """
                    <rect x="\(number(middle))" y="\(number(top + Self.cell.height - height))" \
                    width="\(number(width))" height="\(number(height))" fill="\(colour)"\
                    \(opacity < 1 ? " opacity=\"\(opacity)\"" : "")/>

                    """
            } else {
                if word.text.isEmpty { word.start = index }
                word.text.unicodeScalars.append(cell.character)
            }
        }
        end()
        return drawn
    }

    /// How much of its cell's height a sign fills, how wide it is, and how much shines through.
    private static func block(_ character: Unicode.Scalar) -> (part: Double, width: Double, opacity: Double)? {
        switch character.value {
        // A gap between two bars, so that they can be told apart; the whole block is a bar, too.
        case 0x2581...0x2588: (Double(character.value - 0x2580) / 8 * 0.9, cell.width - 0.8, 1)
        case 0x2591: (0.9, cell.width - 0.8, 0.25)
        case 0x2502: (1, 2, 1)
        default: nil
        }
    }

    private static func colour(_ rendition: String) -> String {
        switch rendition {
        case "0;2": "#8b949e"
        case "0;1": "#f0f6fc"
        case "0;32": "#3fb950"
        case "0;33": "#d29922"
        case "0;1;31": "#f85149"
        case "0;36": "#39c5cf"
        case "0;34": "#58a6ff"
        default: "#c9d1d9"
        }
    }

    private static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}
