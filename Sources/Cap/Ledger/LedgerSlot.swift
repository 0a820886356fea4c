/// A ledger entry in 4096 octets, little endian: a whole sector, so that writing one slot cannot tear the other.
///
/// ```
///    0 magic "fwd-ledg"          48 end of the period        200 boot id of the last reading
///    8 CRC32C of all the rest    56 counted since            216 map, 220 past periods
///   12 version                   64 granted                  224 the last reading, 14 counts
///   16 sequence                  72 1: uncapped              336 12 past periods of 152 octets: start, end,
///   24 written at                80 charged                      counted since, limit (all ones: none), charged,
///   32 reserve                   88 used, 14 counts              14 counts
///   40 start of the period                                  2160 zeros
/// ```
/// Magic, checksum and version stay where they are in every version.
enum LedgerSlot {
    static let size = 4096
    static let version: UInt32 = 1
    private static let magic: UInt64 = 0x6764_656c_2d64_7766
    private static let checksum = 8..<12

    enum Content: Equatable {
        case entry(LedgerEntry)
        /// Torn, damaged, or never written.
        case bad
        /// Whole, but of a version of which we know nothing.
        case foreign(version: UInt32)
    }

    static func octets(of entry: LedgerEntry) -> [UInt8] {
        let account = entry.account
        var octets: [UInt8] = []
        octets.reserveCapacity(size)
        octets.append(magic)
        octets.append(UInt32(0))
        octets.append(version)
        octets.append(entry.sequence)
        octets.append(entry.writtenAt)
        octets.append(entry.reserve)
        octets.append(account.period)
        octets.append(account.countedSince)
        octets.append(account.granted)
        octets.append(UInt64(account.isUncapped ? 1 : 0))
        octets.append(account.usage)
        octets.append(account.reading.epoch.bootID)
        octets.append(account.reading.epoch.map)
        octets.append(UInt32(account.history.count))
        octets.append(account.reading.counts)
        for past in account.history {
            octets.append(past.period)
            octets.append(past.countedSince)
            octets.append(past.limit ?? .max)
            octets.append(past.usage)
        }
        octets += [UInt8](repeating: 0, count: size - octets.count)
        octets.replaceSubrange(checksum, with: littleEndian(sum(of: octets)))
        return octets
    }

    static func content(of octets: [UInt8]) -> Content {
        guard octets.count == size else { return .bad }
        var rest = Cursor(octets)
        guard rest.integer() == magic, rest.integer() == sum(of: octets) else { return .bad }
        let version: UInt32 = rest.integer()
        guard version == Self.version else { return .foreign(version: version) }
        let (sequence, writtenAt, reserve): (UInt64, Int64, UInt64) = (rest.integer(), rest.integer(), rest.integer())
        guard let period = rest.period() else { return .bad }
        let (countedSince, granted, flags): (Int64, UInt64, UInt64) = (rest.integer(), rest.integer(), rest.integer())
        let usage = rest.usage()
        let epoch = Epoch(bootID: rest.integer(), map: rest.integer())
        let past: UInt32 = rest.integer()
        let counts = rest.counts()
        guard past <= Account.periodsKept else { return .bad }
        var history: [ClosedPeriod] = []
        for _ in 0..<past {
            guard let period = rest.period() else { return .bad }
            let (since, limit): (Int64, UInt64) = (rest.integer(), rest.integer())
            history.append(
                ClosedPeriod(
                    period: period, countedSince: since, usage: rest.usage(), limit: limit == .max ? nil : limit))
        }
        let account = Account(
            period: period, countedSince: countedSince, usage: usage, granted: granted, isUncapped: flags & 1 == 1,
            reading: Reading(epoch: epoch, counts: counts), history: history)
        return .entry(LedgerEntry(account: account, reserve: reserve, writtenAt: writtenAt, sequence: sequence))
    }

    private static func sum(of octets: [UInt8]) -> UInt32 {
        crc32c(octets[..<checksum.lowerBound], octets[checksum.upperBound...])
    }
}

private func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] {
    (0..<number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
}

extension [UInt8] {
    fileprivate mutating func append(_ number: some FixedWidthInteger) { self += littleEndian(number) }

    fileprivate mutating func append(_ period: Range<Int64>) {
        append(period.lowerBound)
        append(period.upperBound)
    }

    fileprivate mutating func append(_ counts: MeterCounts) { for count in counts.inOrder { append(count) } }

    fileprivate mutating func append(_ usage: Usage) {
        append(usage.charged)
        append(usage.counts)
    }
}

/// Reads a slot from its beginning. A slot is larger than all that can be asked of it.
private struct Cursor {
    private var rest: ArraySlice<UInt8>

    init(_ octets: [UInt8]) { rest = octets[...] }

    mutating func integer<Number: FixedWidthInteger>() -> Number {
        let octets = rest.prefix(Number.bitWidth / 8)
        rest = rest.dropFirst(octets.count)
        return octets.reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
    }

    /// Nil for one that ends before it begins.
    mutating func period() -> Range<Int64>? {
        let (start, end): (Int64, Int64) = (integer(), integer())
        return start <= end ? start..<end : nil
    }

    mutating func counts() -> MeterCounts { MeterCounts { integer() } }

    mutating func usage() -> Usage {
        let charged: UInt64 = integer()
        return Usage(counts: counts(), charged: charged)
    }
}
