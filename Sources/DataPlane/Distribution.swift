/// How often a figure was at most each of a few bounds: counts that only grow.
package struct Distribution: Sendable, BitwiseCopyable {
    private static var room: Int { 7 }

    // Behind the last bound `.max`, which no figure exceeds.
    private let bounds: InlineArray<7, UInt64>
    private let boundCount: Int
    private var counts: InlineArray<8, UInt64> = .init(repeating: 0)
    /// Of all figures.
    package private(set) var sum: UInt64 = 0

    /// - Parameter bounds: ascending, at most seven.
    init(bounds: [UInt64]) {
        precondition(bounds.count <= Self.room)
        self.bounds = InlineArray { $0 < bounds.count ? bounds[$0] : .max }
        boundCount = bounds.count
    }

    /// Each bound with the figures that are above the one before and not above it; what is above them all comes last,
    /// without a bound.
    package var buckets: [(bound: UInt64?, count: UInt64)] {
        (0..<boundCount).map { (bounds[$0], counts[$0]) } + [(nil, counts[boundCount])]
    }

    /// How many figures there were.
    package var count: UInt64 { buckets.reduce(0) { $0 &+ $1.count } }

    mutating func record(_ figure: UInt64) {
        var place = 0
        for index in 0..<Self.room where figure > bounds[index] { place += 1 }
        counts[place] &+= 1
        sum &+= figure
    }
}
