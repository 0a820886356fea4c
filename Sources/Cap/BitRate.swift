/// How fast, in bits per second.
package struct BitRate: Hashable, Comparable, Sendable {
    package let bitsPerSecond: UInt64

    package init(_ bitsPerSecond: UInt64) { self.bitsPerSecond = bitsPerSecond }

    package static func < (one: BitRate, other: BitRate) -> Bool { one.bitsPerSecond < other.bitsPerSecond }

    /// Below, a packet of 1,500 octets would take over a second; above, nothing here is that fast.
    package static let sensible = BitRate(8_000)...BitRate(100_000_000_000)

    /// As they may be written.
    package static let units: [(name: String, bitsPerSecond: UInt64)] = [
        ("bit/s", 1), ("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000),
    ]
}

/// `512kbit/s`, rounded to three decimals.
extension BitRate: CustomStringConvertible {
    package var description: String { rounded(bitsPerSecond, in: Self.units.map(\.name)) }
}
