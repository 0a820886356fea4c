/// A moment by two clocks.
package struct Moment: Sendable {
    /// Seconds since 1970. May be set, forth and back.
    package var wall: Int64
    /// Nanoseconds of a clock that is never set.
    package var steady: UInt64

    package init(wall: Int64, steady: UInt64) {
        self.wall = wall
        self.steady = steady
    }

    /// Seconds that the wall clock went further than the steady one since a moment; less than none where it went back.
    func leap(since other: Moment) -> Int64 {
        wall - other.wall - Int64(steady.taking(other.steady) / 1_000_000_000)
    }
}
