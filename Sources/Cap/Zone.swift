internal import FoundationEssentials
// Without it the essentials know offsets from UTC, but no zone by its name.
internal import FoundationInternationalization

/// A time zone of the IANA database, out of the tables that are linked into the program: a host without
/// `/usr/share/zoneinfo` has the same.
package struct Zone: Hashable, Sendable {
    package let name: String
    /// None of UTC, for which no table is to be read: that costs a megabyte.
    private let rules: TimeZone?

    package static let utc = Zone(name: "UTC", rules: nil)

    private init(name: String, rules: TimeZone?) {
        self.name = name
        self.rules = rules
    }

    /// None where no zone is called so. Abbreviations and offsets, of which the tables know some, are not taken: IST is
    /// three zones, and GMT+2 is east here and west there.
    package init?(_ name: String) {
        let isWord = name.utf8.allSatisfy { (0x21...0x7e).contains($0) }
        guard isWord, !Self.isAbbreviation(name), !Self.isOffset(name) else { return nil }
        guard let rules = TimeZone(identifier: name) else { return nil }
        self.init(name: name, rules: rules)
    }

    /// Names to find a mistyped one among: not all that are taken, which include those of former times.
    package static var names: [String] {
        Set(TimeZone.knownTimeZoneIdentifiers + TimeZone.abbreviationDictionary.values).sorted()
    }

    private static func isAbbreviation(_ name: String) -> Bool {
        name.utf8.count == 3 && !zonesOfThreeLetters.contains(name)
    }

    private static let zonesOfThreeLetters: Set = [
        "CET", "EET", "EST", "GMT", "HST", "MET", "MST", "PRC", "ROC", "ROK", "UCT", "UTC", "WET",
    ]

    private static func isOffset(_ name: String) -> Bool {
        (name.hasPrefix("GMT") || name.hasPrefix("UTC")) && name.contains { $0.isNumber && $0 != "0" }
    }

    /// Seconds that its clocks are ahead of UTC.
    func offset(at moment: Int64) -> Int64 {
        Int64(rules?.secondsFromGMT(for: Date(secondsSince1970: moment)) ?? 0)
    }

    /// When the offset may next be another.
    func nextChange(after moment: Int64) -> Int64? {
        rules?.nextDaylightSavingTimeTransition(after: Date(secondsSince1970: moment)).map {
            Int64($0.timeIntervalSince1970.rounded(.up))
        }
    }

    package static func == (one: Zone, other: Zone) -> Bool { one.name == other.name }
    package func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

extension Zone: CustomStringConvertible {
    package var description: String { name }
}

extension Date {
    fileprivate init(secondsSince1970 seconds: Int64) { self.init(timeIntervalSince1970: Double(seconds)) }
}
