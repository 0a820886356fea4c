/// A count in the unit that leaves at most three digits before the point, and at most three, rounded, behind it.
///
/// - Parameter units: each a thousand of the one before.
func rounded(_ count: UInt64, in units: [String]) -> String {
    var size: UInt128 = 1
    for unit in units {
        let thousandths = (UInt128(count) * 1_000 + size / 2) / size
        if thousandths < 1_000_000 || unit == units.last { return decimal(thousandths, digits: 3) + unit }
        size *= 1_000
    }
    return "\(count)"
}

/// `1.5` of 1,500 with three digits behind the point: none of them is a zero at the end.
func decimal(_ scaled: UInt128, digits: Int) -> String {
    let text = String(scaled)
    let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
    let fraction = padded.suffix(digits).reversed().drop { $0 == "0" }.reversed()
    return padded.dropLast(digits) + (fraction.isEmpty ? "" : "." + String(fraction))
}
