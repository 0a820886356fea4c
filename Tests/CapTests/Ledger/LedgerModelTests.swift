import LinuxSystem
import SystemPackage
import TestSupport
import Testing

@testable import Cap

/// The ledger and its file against a world that knows the truth, under random schedules of everything that may happen.
struct LedgerModelTests {
    enum Weather: CaseIterable, Sendable { case calm, flaky, foul, clockAstray }

    private static let schedules: UInt64 = isSoak ? 2000 : 60

    @Test(arguments: Weather.allCases)
    func `whatever happens, what is billed is the truth or more, and more by no more than the reserve`(
        weather: Weather
    ) throws {
        var (powerCuts, rolls, doubts, counts) = (0, 0, 0, 0)
        for seed in 0..<Self.schedules {
            let world = try World(seed: seed)
            Self.run(world, in: weather)
            let first = world.wrong.first
            try #require(first == nil, "seed \(seed)")
            powerCuts += world.powerCuts
            counts += world.counts
            rolls += world.keeper?.ledger.account.history.count ?? 0
            doubts += world.doubts
        }
        // A schedule in which nothing happens proves nothing.
        #expect(powerCuts > Int(Self.schedules) && rolls > Int(Self.schedules) / 2 && counts > Int(Self.schedules))
        #expect(weather != .clockAstray || doubts > Int(Self.schedules))
    }

    private static func run(_ world: World, in weather: Weather) {
        let faults: Double = [.calm: 0, .flaky: 0.05, .foul: 0.4][weather] ?? 0.1
        world.fault = { [unowned world] call in
            guard Double.random(in: 0..<1, using: &world.random) < faults else { return .none }
            if "\(call)" == "pwrite", Bool.random(using: &world.random) {
                return .shorten(to: Int.random(in: 0..<LedgerSlot.size, using: &world.random))
            }
            let errors: [Errno] = [.ioError, .noSpace, .readOnlyFileSystem, .tooManyOpenFiles]
            return .refuse(errors.randomElement(using: &world.random) ?? .ioError)
        }
        var (granted, since, inPeriod) = (UInt64(0), world.period, MeterCounts())
        for _ in 0..<300 {
            world.deathAt =
                Int.random(in: 0..<12, using: &world.random) == 0
                ? world.calls + Int.random(in: 1...8, using: &world.random) : .max
            if world.keeper == nil, Bool.random(using: &world.random) { world.start() }
            switch Int.random(in: 0..<100, using: &world.random) {
            case 0..<40:
                let before = world.truth
                world.pass(upTo: world.allowance)
                inPeriod.add(world.truth.since(before))
            case 40..<80:
                world.elapse(UInt64.random(in: 0...4_000_000_000, using: &world.random))
                world.record()
            case 80..<83: world.kill()
            case 83..<86: world.cutPower()
            case 86: world.close()
            case 87..<89:
                let isCurrent = world.keeper?.ledger.account.period == world.period
                if isCurrent, world.grant(1000) { granted += 1000 }
            case 89..<92 where weather == .clockAstray:
                let errors: [Int64] = [0, 0, 0, -1500, -1, 1, 1500, 4000]
                let isLost = Int.random(in: 0..<10, using: &world.random) == 0
                if isLost {
                    world.loseClock()
                } else {
                    world.setClock(ahead: errors.randomElement(using: &world.random) ?? 0)
                }
            // More past periods than are kept could no longer be added up.
            case 92..<95 where world.moment.steady < 6_000_000_000_000:
                let seconds = UInt64.random(in: 0...(weather == .clockAstray ? 2000 : 500), using: &world.random)
                world.elapse(seconds * 1_000_000_000)
            default: break
            }
            guard weather != .clockAstray else { continue }
            if world.period != since { (granted, since, inPeriod) = (0, world.period, MeterCounts()) }
            world.judge(period: since, granted: granted, counted: inPeriod)
        }
        world.fault = { _ in .none }
        world.deathAt = .max
        world.start()
    }
}

extension World {
    /// Where the clock only goes forward: what passed since it entered this period counts in this period, and what was
    /// granted in it holds.
    fileprivate func judge(period: Range<Int64>, granted: UInt64, counted inPeriod: MeterCounts) {
        guard let account = keeper?.ledger.account, account.period == period else { return }
        guard account.reading == reading else { return }
        for rule in BilledDirection.allCases {
            let least = Usage(counts: inPeriod).billed(by: Metering(rule))
            let billed = account.usage.billed(by: Metering(rule))
            if billed < least { complain("\(period) \(rule): \(least - billed) less than passed in it") }
        }
        if account.granted < granted { complain("granted \(granted), known \(account.granted)") }
    }
}
