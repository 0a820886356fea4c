/// Columns as wide as their widest cell, two blanks between them. A column whose cells under the first row are all
/// numbers, or empty, is set to the right.
func textTable(_ rows: [[String]]) -> String {
    let columns = (rows.first ?? []).indices.map { column in
        let cells = rows.map { $0[column] }
        return (
            width: cells.map(\.count).max() ?? 0,
            isNumeric: cells.count > 1 && cells.dropFirst().allSatisfy { $0.first?.isNumber ?? true }
        )
    }
    return rows.map { row in
        var line = ""
        for (cell, column) in zip(row, columns) {
            let blanks = String(repeating: " ", count: column.width - cell.count)
            line += (line.isEmpty ? "" : "  ") + (column.isNumeric ? blanks + cell : cell + blanks)
        }
        while line.last == " " { line.removeLast() }
        return line + "\n"
    }.joined()
}

/// The same as Markdown, the first row as its heading.
func markdownTable(_ rows: [[String]]) -> String {
    let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String], filledWith filler: Character = " ") -> String {
        let padded = zip(cells, widths).map { cell, width in
            cell + String(repeating: filler, count: width - cell.count)
        }
        return "| " + padded.joined(separator: " | ") + " |\n"
    }
    let rule = line(widths.map { _ in "" }, filledWith: "-")
    return line(rows.first ?? []) + rule + rows.dropFirst().map { line($0) }.joined()
}

/// Bytes in the largest unit of which there is at least one; GB is 10^9.
func bytesText(_ bytes: UInt64) -> String {
    let units: [(String, UInt64)] = [
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000),
    ]
    guard let (name, size) = units.first(where: { bytes >= $0.1 }) else { return "\(bytes) B" }
    let tenths = bytes / (size / 10)
    return "\(tenths / 10).\(tenths % 10) \(name)"
}

/// A span of time in its two largest units.
func durationText(seconds: Int) -> String {
    let seconds = max(0, seconds)
    switch seconds {
    case 86_400...: return "\(seconds / 86_400) d \(seconds % 86_400 / 3_600) h"
    case 3_600...: return "\(seconds / 3_600) h \(seconds % 3_600 / 60) min"
    case 60...: return "\(seconds / 60) min \(seconds % 60) s"
    default: return "\(seconds) s"
    }
}

/// A number with so many places behind the point, rounded.
func decimalText(_ value: Double, places: Int) -> String {
    let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
    // What no figure of ours reaches is told as the bound instead of trapping.
    let scaled = Int64(max(-9e17, min(9e17, (abs(value) * scale).rounded())))
    let digits = "\(scaled)"
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    let sign = value < 0 && scaled != 0 ? "-" : ""
    return sign + padded.dropLast(places) + (places == 0 ? "" : "." + padded.suffix(places))
}
