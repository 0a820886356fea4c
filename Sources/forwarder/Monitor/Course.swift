/// The course of figures over the last looks, a sample for each.
struct Course {
    struct Sample: Equatable {
        /// In bits per second.
        var egress, ingress: Double
        /// In milliseconds.
        var delay: Double
    }

    /// More than any window is wide.
    private static let limit = 512

    /// The newest last. Nil where there was no answer, or nothing to compare it with.
    private(set) var samples: [Sample?] = []

    mutating func record(_ sample: Sample?) {
        samples.append(sample)
        if samples.count > Self.limit { samples.removeFirst(samples.count - Self.limit) }
    }
}

/// Figures as a row of bars, the newest to the right, the highest of those shown as high as a bar gets.
///
/// - Parameter values: nil leaves a gap.
func sparkline(_ values: [Double?], width: Int, _ style: Style) -> String {
    let shown = values.suffix(max(0, width)).map { $0.flatMap { $0.isFinite ? max(0, $0) : nil } }
    let peak = shown.compactMap(\.self).max() ?? 0
    let bars = style.bars
    let text = shown.map { value -> Character in
        guard let value else { return " " }
        guard value > 0 else { return bars[0] }
        return bars[max(1, min(bars.count - 1, Int((value / peak * Double(bars.count - 1)).rounded(.up))))]
    }
    return String(repeating: " ", count: max(0, width - text.count)) + String(text)
}

/// A share of a whole as a bar, with a mark where another share would end.
///
/// - Parameter mark: none is drawn where it lies beyond the whole.
func gauge(_ share: Double, mark: Double?, width: Int, _ style: Style) -> String {
    let inner = max(0, width - 2)
    func place(_ share: Double) -> Int { share.isFinite ? Int(max(0, min(1, share)) * Double(inner)) : 0 }
    let filled = place(share)
    var bar = (0..<inner).map { $0 < filled ? style.full : style.empty }
    if let mark, mark < 1, !bar.isEmpty { bar[min(inner - 1, place(mark))] = style.mark }
    return "[" + String(bar) + "]"
}

/// Bits per second in the largest unit of which there is at least one.
func speedText(_ bitsPerSecond: Double) -> String {
    guard bitsPerSecond.isFinite, bitsPerSecond >= 0 else { return "?" }
    let units: [(String, Double)] = [
        ("Ebit/s", 1e18), ("Pbit/s", 1e15), ("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3),
    ]
    guard let (name, size) = units.first(where: { bitsPerSecond >= $0.1 }) else {
        return "\(decimalText(bitsPerSecond, places: 0)) bit/s"
    }
    return "\(decimalText(bitsPerSecond / size, places: 1)) \(name)"
}

/// A number of things, in thousands and more once it gets long.
func countText(_ count: Double) -> String {
    guard count.isFinite, count >= 0 else { return "?" }
    let units: [(String, Double)] = [("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e4)]
    guard let (name, size) = units.first(where: { count >= $0.1 }) else { return decimalText(count, places: 0) }
    return "\(decimalText(count / (name == "k" ? 1e3 : size), places: 1)) \(name)"
}

func countText(_ count: UInt64) -> String { countText(Double(count)) }
