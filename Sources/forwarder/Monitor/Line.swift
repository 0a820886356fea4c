/// One line of a picture, each of whose characters takes one column.
///
/// Whatever is written is held to that here, and nowhere else: what could move the cursor, change the terminal, take two columns
/// or none, or turn the direction of writing, becomes a question mark. So no text of a node, whoever it has it from, reaches
/// a terminal as more than text.
struct Line: Equatable {
    struct Cell: Equatable {
        let character: Unicode.Scalar
        var tone: Tone
    }

    private(set) var cells: [Cell] = []

    init(_ text: String = "", _ tone: Tone = .plain) { write(text, tone) }

    var width: Int { cells.count }

    mutating func write(_ text: String, _ tone: Tone = .plain) {
        for scalar in text.unicodeScalars { cells.append(Cell(character: Self.shown(scalar), tone: tone)) }
    }

    mutating func write(_ line: Line) { cells += line.cells }

    /// Blanks up to this column.
    mutating func pad(to width: Int) {
        if self.width < width { write(String(repeating: " ", count: width - self.width)) }
    }

    /// Cut to this width; that it was cut, its last character says.
    mutating func clip(to width: Int, _ style: Style) {
        guard self.width > width else { return }
        cells.removeLast(self.width - max(0, width))
        if let last = cells.popLast() { write(String(style.ellipsis), last.tone) }
    }

    /// All of it in one tone.
    mutating func fade(to tone: Tone) {
        for index in cells.indices { cells[index].tone = tone }
    }

    /// What shows it: the text, and the few sequences that set tones where the style has any.
    func text(in style: Style) -> String {
        var text = ""
        var tone = Tone.plain
        for cell in trimmed {
            if style.isColoured, cell.tone != tone {
                text += cell.tone.sequence
                tone = cell.tone
            }
            text.unicodeScalars.append(style.isUnicode || cell.character.isASCII ? cell.character : "?")
        }
        return tone == .plain ? text : text + Tone.plain.sequence
    }

    /// Without the blanks at its end.
    private var trimmed: ArraySlice<Cell> {
        cells[..<((cells.lastIndex { $0.character != " " } ?? -1) + 1)]
    }

    /// Letters and signs that every terminal shows in one column; anything else is told as not shown.
    private static func shown(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        switch scalar.value {
        case 0x20...0x7e: scalar
        case 0x09, 0x0a, 0x0d: " "
        // Latin, without the soft hyphen; Greek; Cyrillic, without what combines.
        case 0xa1...0xac, 0xae...0x24f, 0x391...0x3a1, 0x3a3...0x3ce, 0x400...0x482, 0x48a...0x52f: scalar
        // The signs that pictures are drawn with: ellipsis, arrows, lines and blocks.
        case 0x2026, 0x2190...0x2193, 0x2500...0x259f: scalar
        default: "?"
        }
    }
}

/// What a piece of text is about. Words say the same: nothing is told by colour alone.
enum Tone {
    case plain
    /// Labels, and figures that are no longer new.
    case faint
    /// Headings, and figures that one looks for.
    case strong
    case good, warning, bad
    case egress, ingress

    /// ECMA-48, "select graphic rendition", from whatever was set.
    var sequence: String {
        switch self {
        case .plain: "\u{1b}[0m"
        case .faint: "\u{1b}[0;2m"
        case .strong: "\u{1b}[0;1m"
        case .good: "\u{1b}[0;32m"
        case .warning: "\u{1b}[0;33m"
        case .bad: "\u{1b}[0;1;31m"
        case .egress: "\u{1b}[0;36m"
        case .ingress: "\u{1b}[0;34m"
        }
    }
}

/// What a terminal can show.
struct Style {
    let isColoured: Bool
    let isUnicode: Bool

    /// From nothing to the most.
    var bars: [Character] { Array(isUnicode ? "▁▂▃▄▅▆▇█" : "_.-=+*%#") }
    var full: Character { isUnicode ? "█" : "#" }
    var empty: Character { isUnicode ? "░" : "." }
    var mark: Character { isUnicode ? "│" : "|" }
    var ellipsis: Character { isUnicode ? "…" : "~" }
}

extension Style {
    /// As the person's environment has it: <https://no-color.org>, TERM, and the locale's character set (locale(7)).
    init(environment: [String: String], isTerminal: Bool) {
        func isSet(_ name: String) -> Bool { environment[name].map { !$0.isEmpty } ?? false }
        let term = environment["TERM"] ?? ""
        isColoured = isTerminal && !isSet("NO_COLOR") && !term.isEmpty && term != "dumb"
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].first(where: isSet).flatMap { environment[$0] } ?? ""
        let charset = locale.lowercased().filter { $0 != "-" }
        isUnicode = charset.contains("utf8")
    }
}

/// In characters.
struct Size: Equatable {
    /// Of a terminal that does not say, and of a picture that is for none.
    static let usual = Size(columns: 80, rows: 24)

    var columns: Int
    var rows: Int
}
