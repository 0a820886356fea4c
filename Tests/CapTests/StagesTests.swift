import TestSupport
import Testing

@testable import Cap

@Suite("Which stage holds")
struct StagesTests {
    @Test("The usual stages of 35 GB, to the byte")
    func usual() {
        let allowance = Allowance(cap: ByteCount(35_000_000_000), reserve: .share(.percent(1)))
        for (used, stage) in [
            (0, nil), (27_999_999_999, nil), (28_000_000_000, "80% warn"), (31_499_999_999, "80% warn"),
            (31_500_000_000, "90% pace"), (33_250_000_000, "95% rate 512kbit/s"),
            (34_649_999_999, "95% rate 512kbit/s"), (34_650_000_000, "100% stop"), (.max, "100% stop"),
        ] as [(UInt64, String?)] {
            #expect(Stages.usual.stage(used: used, of: allowance)?.description == stage)
        }
    }

    @Test("The thresholds that people copy: 30, 32 and 35 GB")
    func amounts() {
        let stages = Stages([
            Stage(.bytes(ByteCount(30_000_000_000)), .rate(BitRate(512_000))),
            Stage(.bytes(ByteCount(32_000_000_000)), .rate(BitRate(128_000))),
            Stage(.bytes(ByteCount(35_000_000_000)), .stop),
        ])
        #expect(stages.description == "30GB rate 512kbit/s, 32GB rate 128kbit/s, 35GB stop")
        let allowance = Allowance(cap: ByteCount(35_000_000_000), reserve: .share(.percent(0)))
        let beginnings = stages.list.map { stages.beginning(of: $0, in: allowance) }
        #expect(beginnings == [30_000_000_000, 32_000_000_000, 35_000_000_000])
    }

    @Test("What is granted moves every threshold, those in bytes, too, and leads back to an earlier stage at once")
    func grant() {
        let stages = Stages([
            Stage(.bytes(ByteCount(50)), .warn), Stage(.share(.percent(60)), .rate(BitRate(64_000))),
            Stage(.bytes(ByteCount(100)), .stop),
        ])
        let reserve = Portion.bytes(ByteCount(1))
        #expect(stages.stage(used: 99, of: Allowance(cap: ByteCount(100), reserve: reserve))?.action == .stop)
        let granted = Allowance(cap: ByteCount(100), granted: ByteCount(100), reserve: reserve)
        #expect(stages.stage(used: 99, of: granted) == nil)
        #expect(stages.list.map { stages.beginning(of: $0, in: granted) } == [100, 120, 199])
    }

    @Test("A stop before the reserve is where it is written; without a stop nothing stops")
    func stops() {
        let allowance = Allowance(cap: ByteCount(1_000), reserve: .share(.percent(10)))
        let early = Stages([Stage(.share(.percent(50)), .stop)])
        #expect(early.stage(used: 499, of: allowance) == nil)
        #expect(early.stage(used: 500, of: allowance)?.action == .stop)
        let warning = Stages([Stage(.share(.percent(50)), .warn)])
        #expect(warning.stage(used: 5_000, of: allowance)?.action == .warn)
        #expect(Stages([]).stage(used: 5_000, of: allowance) == nil)
    }

    @Test("Random caps, stages, grants and uses agree with the definition", arguments: 0..<(isSoak ? 200 : 20))
    func oracle(seed: UInt64) {
        var random = RandomNumbers(seed: seed)
        for _ in 0..<200 {
            let (stages, allowance) = randomStages(&random)
            var last = -1
            for used in randomUses(&random, of: allowance) {
                let stage = stages.stage(used: used, of: allowance)
                #expect(
                    stage == byDefinition(stages, used, allowance), "seed \(seed): \(stages) of \(allowance), \(used)")
                // While use grows, no stage is left for an earlier one.
                let index = stage.flatMap(stages.list.firstIndex) ?? -1
                #expect(index >= last, "seed \(seed): \(stages) of \(allowance), \(used)")
                last = index
            }
        }
    }

    @Test(
        "What fits a cap fits it with any grant: no stage begins after the next", arguments: 100..<(isSoak ? 300 : 120))
    func orderUnderGrants(seed: UInt64) {
        var random = RandomNumbers(seed: seed)
        for _ in 0..<200 {
            let (stages, allowance) = randomStages(&random)
            let beginnings = stages.list.map { stages.beginning(of: $0, in: allowance) }
            #expect(beginnings == beginnings.sorted(), "seed \(seed): \(stages) of \(allowance)")
        }
    }

    /// By multiplication alone: a share has begun when `used * 10,000 >= limit * basis points`.
    private func byDefinition(_ stages: Stages, _ used: UInt64, _ allowance: Allowance) -> Stage? {
        let (cap, limit) = (
            UInt128(allowance.cap.bytes), UInt128(allowance.cap.bytes) + UInt128(allowance.granted.bytes)
        )
        let used = UInt128(used)
        var holding: Stage?
        for stage in stages.list {
            let hasBegun =
                switch stage.threshold {
                case .share(let share): used * 10_000 >= limit * UInt128(share.basisPoints)
                case .bytes(let bytes): used * cap >= limit * UInt128(bytes.bytes)
                }
            let isReserveAllThatIsLeft =
                switch allowance.reserve {
                // Rounded up: at least the share, less than a byte more.
                case .share(let share): (used + 1) * 10_000 + cap * UInt128(share.basisPoints) > limit * 10_000
                case .bytes(let bytes): used + UInt128(bytes.bytes) >= limit
                }
            if hasBegun || (stage.action == .stop && isReserveAllThatIsLeft) { holding = stage }
        }
        return holding
    }

    /// As the settings let them be: each after the one before, none above the cap, none that stop comes before.
    private func randomStages(_ random: inout RandomNumbers) -> (Stages, Allowance) {
        let cap = ByteCount(.random(in: 100...(1 << UInt64.random(in: 8...59, using: &random)), using: &random))
        let reserve: Portion =
            Bool.random(using: &random)
            ? .share(Share(basisPoints: .random(in: 0...2_000, using: &random)))
            : .bytes(ByteCount(.random(in: 0...(cap.bytes / 5), using: &random)))
        let granted = ByteCount(Bool.random(using: &random) ? 0 : .random(in: 0...(3 * cap.bytes), using: &random))
        let end = cap.bytes - min(cap.bytes, reserve.bytes(of: cap))
        var list: [Stage] = []
        for _ in 0..<Int.random(in: 0...8, using: &random) {
            let threshold: Portion =
                Bool.random(using: &random)
                ? .share(Share(basisPoints: .random(in: 1...8_000, using: &random)))
                : .bytes(ByteCount(.random(in: 1...max(1, end), using: &random)))
            let action: Stage.Action =
                [.warn, .rate(BitRate(64_000)), .pace(floor: Stage.usualFloor)].randomElement(using: &random) ?? .warn
            list.append(Stage(threshold, action))
        }
        list.sort { $0.threshold.isLess(than: $1.threshold, of: cap) }
        list = list.enumerated().filter { index, stage in
            stage.threshold.isLess(than: .bytes(ByteCount(end)), of: cap)
                && (index == 0 || list[index - 1].threshold.isLess(than: stage.threshold, of: cap))
        }.map(\.element)
        if Bool.random(using: &random) { list.append(Stage(.share(.whole), .stop)) }
        return (Stages(list), Allowance(cap: cap, granted: granted, reserve: reserve))
    }

    /// Growing, and among them some next to shares, the end and the limit.
    private func randomUses(_ random: inout RandomNumbers, of allowance: Allowance) -> [UInt64] {
        let limit = allowance.limit
        let anywhere = (0..<20).map { _ in UInt64.random(in: 0...(limit + limit / 10), using: &random) }
        let shares = (0..<20).map { _ in
            UInt64(UInt128(limit) * UInt128.random(in: 0...10_000, using: &random) / 10_000)
        }
        let edges = (shares + [limit, allowance.end]).flatMap { [$0 - min($0, 1), $0, $0 + 1] }
        return (anywhere + edges + [0]).sorted()
    }
}
