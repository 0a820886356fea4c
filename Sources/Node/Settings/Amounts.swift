import Cap

// From text to amounts of data and rates: a decimal number and its unit, `1.5GB`, `500 MB`, taken exactly or not at all.

func byteCount(_ text: String) throws(Misfit) -> ByteCount {
    try byteCount(amount(text, in: byteUnits).count)
}

private func byteCount(_ bytes: UInt64) throws(Misfit) -> ByteCount {
    guard bytes <= ByteCount.most.bytes else { throw Misfit(reason: "is more than \(ByteCount.most)") }
    return ByteCount(bytes)
}

func bitRate(_ text: String) throws(Misfit) -> BitRate {
    let units = BitRate.units.map { Unit(name: $0.name, size: $0.bitsPerSecond, finest: "a bit per second") }
    let rate = BitRate(try amount(text, in: units).count)
    let sensible = BitRate.sensible
    guard sensible.contains(rate) else {
        throw Misfit(reason: "is outside \(sensible.lowerBound) to \(sensible.upperBound)")
    }
    return rate
}

/// `80%` or `30GB`.
func portion(_ text: String) throws(Misfit) -> Portion {
    let percent = Unit(name: "%", size: Share.perPercent, finest: "a hundredth of a percent")
    let (count, unit) = try amount(text, in: [percent] + byteUnits)
    guard unit.name == percent.name else { return .bytes(try byteCount(count)) }
    let share = Share(basisPoints: count)
    guard share <= .whole else { throw Misfit(reason: "is more than \(Share.whole)") }
    return .share(share)
}

private struct Unit {
    let name: String
    /// In the finest.
    let size: UInt64
    /// The least that may be said of it.
    let finest: String
}

private let byteUnits = ByteCount.units.map { Unit(name: $0.name, size: $0.bytes, finest: "a byte") }

/// A number, perhaps a blank, a unit. What is too much for 64 bits is as much as they hold.
private func amount(_ text: String, in units: [Unit]) throws(Misfit) -> (count: UInt64, unit: Unit) {
    guard !text.hasPrefix("-") else { throw Misfit(reason: "is negative") }
    let number = text.prefix { $0 == "." || ($0.isASCII && $0.isNumber) }
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else {
        throw Misfit(reason: "does not begin with a number")
    }
    var name = text.dropFirst(number.count)
    if name.hasPrefix(" ") { name.removeFirst() }
    let names = units.map(\.name)
    guard !name.isEmpty else { throw Misfit(reason: "has no unit, which is \(alternatives(names))") }
    guard let unit = units.first(where: { $0.name == name }) else {
        let meant = names.first { $0.lowercased() == name.lowercased() }.map { ": did you mean \($0)?" } ?? ""
        throw Misfit(reason: "has the unit \"\(name)\", which is not \(alternatives(names))\(meant)")
    }
    let fraction = parts.count == 2 ? String(parts[1].reversed().drop { $0 == "0" }.reversed()) : ""
    guard let count = multiple(of: unit.size, String(parts[0]), fraction) else {
        throw Misfit(reason: "is finer than \(unit.finest)")
    }
    return (count, unit)
}

/// `whole.fraction` times a size, if that is a whole number.
private func multiple(of size: UInt64, _ whole: String, _ fraction: String) -> UInt64? {
    // With more it might not fit; only a byte as a fraction of GiB would take them.
    guard fraction.count <= 18 else { return nil }
    let power = (0..<fraction.count).reduce(UInt128(1)) { power, _ in power * 10 }
    let (units, rest) = ((UInt128(fraction) ?? 0) * UInt128(size)).quotientAndRemainder(dividingBy: power)
    guard rest == 0 else { return nil }
    guard let whole = UInt64(whole) else { return .max }
    return UInt64(clamping: UInt128(whole) * UInt128(size) + units)
}

/// `a, b or c`
func alternatives(_ names: [String]) -> String {
    names.count < 2 ? names.joined() : names.dropLast().joined(separator: ", ") + " or \(names.last ?? "")"
}
