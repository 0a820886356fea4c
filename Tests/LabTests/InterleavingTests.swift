import Lab
import Testing

struct InterleavingTests {
    @Test("every round measures every rival once, and each begins with the next one")
    func turns() {
        var order: [String] = []
        let samples = interleave(["kernel", "uring", "poll"], rounds: 4) { rival, round in
            order.append(rival)
            return "\(rival) \(round)"
        }
        #expect(
            order == [
                "kernel", "uring", "poll", "uring", "poll", "kernel", "poll", "kernel", "uring", "kernel", "uring",
                "poll",
            ])
        #expect(samples.map { $0.map { String($0.last ?? "-") } } == Array(repeating: ["0", "1", "2", "3"], count: 3))
        #expect(samples.map { $0.first } == ["kernel 0", "uring 0", "poll 0"])
    }

    @Test("a refusal ends the rounds")
    func refusal() {
        struct Refused: Error {}
        var measured = 0
        #expect(throws: Refused.self) {
            try interleave([1, 2], rounds: 3) { rival, _ throws(Refused) in
                measured += 1
                if rival == 2 { throw Refused() }
            }
        }
        #expect(measured == 2)
    }

    @Test(
        "the median is the middle one, or between the two in the middle",
        arguments: [([3], 3), ([9, 1, 2], 2), ([4, 1, 3, 100], 3.5)] as [([Double], Double)])
    func median(rounds: [Double], median: Double) {
        let spread = Spread(rounds)
        #expect(spread.median == median)
        #expect(spread.low == rounds.min())
        #expect(spread.high == rounds.max())
        #expect(spread.rounds == rounds)
    }

    @Test("a ratio compares within rounds: a machine that slows down for one round does not change it")
    func ratio() {
        let kernel = Spread([20, 2, 20])
        let ours = Spread([10, 1, 15])
        #expect(ours.ratio(to: kernel) == 0.5)
    }
}
