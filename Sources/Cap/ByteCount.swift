/// An amount of data, exact to the byte.
package struct ByteCount: Hashable, Comparable, Sendable {
    package let bytes: UInt64

    package init(_ bytes: UInt64) { self.bytes = bytes }

    package static func < (one: ByteCount, other: ByteCount) -> Bool { one.bytes < other.bytes }

    /// More is not taken from a person; products with it fit 128 bits.
    package static let most = ByteCount(1_000_000_000_000_000_000)

    /// As they may be written. Bills are in the decimal ones, and so are our own texts.
    package static let units: [(name: String, bytes: UInt64)] = [
        ("B", 1), ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("PB", 1_000_000_000_000_000),
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("PiB", 1 << 50),
    ]
}

/// `35GB`, rounded to three decimals: for people. Whoever counts on takes `bytes`.
extension ByteCount: CustomStringConvertible {
    package var description: String { rounded(bytes, in: ["B", "kB", "MB", "GB", "TB", "PB"]) }
}
