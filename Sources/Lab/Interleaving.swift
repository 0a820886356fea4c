/// Measures rivals in turns: each round measures every rival once, so that what the machine does meanwhile befalls all
/// of them alike. Every round begins with the next rival, because the first after a pause has other conditions.
///
/// - Returns: for each rival, in the order given, what was measured, round by round.
package func interleave<Rival, Sample, Failure: Error>(
    _ rivals: [Rival], rounds: Int, _ measure: (_ rival: Rival, _ round: Int) throws(Failure) -> Sample
) throws(Failure) -> [[Sample]] {
    var samples: [[Sample]] = Array(repeating: [], count: rivals.count)
    for round in 0..<rounds {
        for turn in rivals.indices {
            let rival = (round + turn) % rivals.count
            samples[rival].append(try measure(rivals[rival], round))
        }
    }
    return samples
}

/// What several measurements of one thing say. The median, because one bad round must not move the figure.
package struct Spread: Equatable, Sendable {
    package let median: Double
    package let low: Double
    package let high: Double
    /// All of them, in the order they were taken.
    package let rounds: [Double]

    /// - Parameter rounds: at least one.
    package init(_ rounds: [Double]) {
        let sorted = rounds.sorted()
        precondition(!sorted.isEmpty, "a spread of nothing")
        self.rounds = rounds
        median = (sorted[sorted.count / 2] + sorted[(sorted.count - 1) / 2]) / 2
        low = sorted[0]
        high = sorted[sorted.count - 1]
    }

    /// How this compares to another that was measured in the same rounds: the median of the rounds' ratios. A ratio of
    /// the medians would compare rounds in which the machine was not equally busy.
    package func ratio(to other: Spread) -> Double { Spread(zip(rounds, other.rounds).map { $0 / $1 }).median }
}
