import Glibc
import LinuxSystem
import TestSupport
import Testing

@testable import Cap

/// A real process that counts into a real file and is killed at any moment.
struct KilledWriterTests {
    private static let kills = isSoak ? 500 : 40

    @Test func `a process killed at any moment loses no octet, and none twice`() throws {
        try Self.repeatedly { _ in 0 }
    }

    @Test func `where the counters die with it, at most the reserve is charged`() throws {
        try Self.repeatedly { $0 }
    }

    /// - Parameter map: the number of the counters after so many kills: another number is other counters.
    private static func repeatedly(_ map: (Int) -> Int) throws {
        let folder = try ScratchFolder()
        defer { folder.remove("counters") }
        let counters = try #require(SharedNumbers(folder.path + "/counters", count: MeterCounts.cellCount + 2))
        var random = SystemRandomNumberGenerator()
        var truth = MeterCounts()
        var writes: UInt64 = 0
        for kill in 1...Self.kills {
            let before = try LedgerFile.read(in: folder.path)?.entry
            let child = try ChildProcess([Self.writer, folder.path, folder.path + "/counters"])
            // Some are killed while they start.
            if kill % 4 != 0 {
                let records = counters[MeterCounts.cellCount + 1] + .random(in: 1...20, using: &random)
                while counters[MeterCounts.cellCount + 1] < records, child.wait(upTo: .zero) == nil { usleep(100) }
            }
            usleep(.random(in: 0...3000, using: &random))
            child.signal(SIGKILL)
            try #require(child.wait(upTo: .seconds(10)) == .killed(signal: SIGKILL), "\(child.standardError)")
            guard let content = try LedgerFile.read(in: folder.path) else { continue }
            let entry = try #require(content.entry)
            writes += entry.sequence - (before?.sequence ?? 0)

            let died = counters.reading
            let goesOn = map(kill) == map(kill - 1)
            if !goesOn {
                truth.add(died.counts)
                for cell in 0..<MeterCounts.cellCount { counters[cell] = 0 }
                counters[MeterCounts.cellCount] = UInt64(map(kill))
            }
            let now = Moment(0)
            let ledger = Ledger(
                resuming: entry, in: 0..<Int64.max, under: nil, from: counters.reading, at: now)
            var passed = truth
            if goesOn { passed.add(died.counts) }
            let usage = ledger.account.usage
            if goesOn {
                try #require(usage == Usage(counts: passed), "kill \(kill)")
            } else {
                let charge = usage.charged - entry.account.usage.charged
                try #require(charge <= entry.reserve, "kill \(kill)")
                for point in MeteringPoint.allCases {
                    let (all, counted) = (passed.total(at: point), usage.counts.total(at: point))
                    try #require(counted <= all && all - counted <= usage.charged, "kill \(kill), \(point)")
                }
            }
        }
        #expect(writes > UInt64(Self.kills) * 2)
    }

    /// Beside the tests that run.
    private static let writer: String = {
        var path = [CChar](repeating: 0, count: 4096)
        let length = unsafe readlink("/proc/self/exe", &path, path.count)
        let own = String(decoding: path.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            + "/LedgerWriter"
    }()
}

extension SharedNumbers {
    fileprivate var reading: Reading {
        var cell = -1
        let counts = MeterCounts {
            cell += 1
            return self[cell]
        }
        return Reading(epoch: Epoch(bootID: 1, map: UInt32(self[MeterCounts.cellCount])), counts: counts)
    }
}
