import Cap
import Glibc
import LinuxSystem
import TestSupport

/// `LedgerWriter DIRECTORY COUNTERS` counts into a ledger until it is killed.
///
/// COUNTERS stands for the kernel's map: its cells and its number; a count of records follows. It outlives the process, and is ahead of the ledger and
/// never behind. Of what passes, no more than the headroom does.
let arguments = CommandLine.arguments
guard arguments.count == 3, let counters = SharedNumbers(arguments[2], count: MeterCounts.cellCount + 2) else {
    print("LedgerWriter: could not find the counters; next: LedgerWriter DIRECTORY COUNTERS, as its tests do")
    exit(64)
}
let clock = MonotonicClock()
var random = SystemRandomNumberGenerator()

func reading() -> Reading {
    var index = -1
    let counts = MeterCounts {
        index += 1
        return counters[index]
    }
    return Reading(epoch: Epoch(bootID: 1, map: UInt32(counters[MeterCounts.cellCount])), counts: counts)
}

func now() -> Moment { Moment(wall: Int64(clock.nanoseconds / 1_000_000_000), steady: clock.nanoseconds) }

var keeper = try Bookkeeper(in: arguments[1], 0..<Int64.max, under: nil, from: reading(), at: now())

while true {
    let headroom = min(keeper.ledger.headroom, 1 << 27)
    for cell in 0..<MeterCounts.cellCount {
        // Twelve cells are the uplink's, two the tunnel's.
        counters[cell] += UInt64.random(in: 0...headroom / (cell < 12 ? 12 : 2), using: &random)
    }
    keeper.count(reading(), in: 0..<Int64.max, under: nil, at: now())
    keeper.writeIfDue(at: now())
    counters[MeterCounts.cellCount + 1] += 1
}
