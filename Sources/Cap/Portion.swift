/// A part of an amount: a share of it, or so many bytes.
package enum Portion: Hashable, Sendable {
    case share(Share)
    case bytes(ByteCount)

    package var isShare: Bool {
        if case .share = self { true } else { false }
    }

    /// Whether it is less of an amount than another is, to a fraction of a byte. Of what amount matters only between a share
    /// and bytes.
    package func isLess(than other: Portion, of whole: ByteCount = ByteCount(1)) -> Bool {
        exact(of: whole) < other.exact(of: whole)
    }

    private func exact(of whole: ByteCount) -> UInt128 {
        switch self {
        case .share(let share): UInt128(whole.bytes) * UInt128(share.basisPoints)
        case .bytes(let count): UInt128(count.bytes) * UInt128(Share.whole.basisPoints)
        }
    }

    /// Rounded up to a byte.
    package func bytes(of whole: ByteCount) -> UInt64 {
        switch self {
        case .share(let share): share.bytes(of: whole.bytes)
        case .bytes(let count): count.bytes
        }
    }
}

extension Portion: CustomStringConvertible {
    package var description: String {
        switch self {
        case .share(let share): "\(share)"
        case .bytes(let count): "\(count)"
        }
    }
}

/// Hundredths of a percent.
package struct Share: Hashable, Comparable, Sendable {
    package let basisPoints: UInt64

    package init(basisPoints: UInt64) { self.basisPoints = basisPoints }

    package static func percent(_ percent: UInt64) -> Share { Share(basisPoints: percent * perPercent) }

    package static let perPercent: UInt64 = 100
    package static let whole = Share.percent(100)

    package static func < (one: Share, other: Share) -> Bool { one.basisPoints < other.basisPoints }

    /// Rounded up: what begins at a share has not begun a byte before.
    func bytes(of whole: UInt64) -> UInt64 { scaled(whole, by: basisPoints, over: Self.whole.basisPoints) }
}

/// `99.5%`
extension Share: CustomStringConvertible {
    package var description: String { decimal(UInt128(basisPoints), digits: 2) + "%" }
}

/// `amount * part / whole`, rounded up; as much as there can be where that is more.
func scaled(_ amount: UInt64, by part: UInt64, over whole: UInt64) -> UInt64 {
    let product = UInt128(amount) * UInt128(part)
    return UInt64(clamping: (product + UInt128(whole) - 1) / UInt128(whole))
}
