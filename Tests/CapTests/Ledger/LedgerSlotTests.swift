import TestSupport
import Testing

@testable import Cap

struct LedgerSlotTests {
    /// Every field another number.
    private static func entry(past: Int) -> LedgerEntry {
        var number: UInt64 = 0x1000
        func next() -> UInt64 {
            number += 1
            return number
        }
        func usage() -> Usage { Usage(counts: MeterCounts(next), charged: next()) }
        let history = (0..<past).map { index in
            ClosedPeriod(
                period: Int64(index)..<Int64(index) + 1, countedSince: Int64(next()), usage: usage(),
                limit: index == 3 ? nil : next())
        }
        let reading = Reading(epoch: Epoch(bootID: UInt128.max - 7, map: 0xfedc_ba98), counts: MeterCounts(next))
        let account = Account(
            period: 100..<200, countedSince: -5, usage: usage(), granted: next(), isUncapped: past % 2 == 1,
            reading: reading, history: history)
        return LedgerEntry(account: account, reserve: next(), writtenAt: -1, sequence: .max)
    }

    @Test(arguments: 0...Account.periodsKept)
    func `an entry comes back as it was written`(past: Int) {
        let octets = LedgerSlot.octets(of: Self.entry(past: past))
        #expect(octets.count == 4096)
        #expect(LedgerSlot.content(of: octets) == .entry(Self.entry(past: past)))
    }

    /// Whoever changes this writes another version.
    @Test func `the octets are those of version 1`() {
        var account = Account(0x0a..<0x0b, since: 0x0c, from: Reading(map: 0x0d, sent: 0x0e))
        account.usage.charged = 0x0f
        account.granted = 0x1011
        account.isUncapped = true
        account.history = [
            ClosedPeriod(period: 0x01..<0x02, countedSince: 0x03, usage: Usage(charged: 0x04), limit: nil)
        ]
        let octets = LedgerSlot.octets(
            of: LedgerEntry(account: account, reserve: 0x12, writtenAt: 0x13, sequence: 0x14))
        var expected = [UInt8](repeating: 0, count: 4096)
        expected.replaceSubrange(0..<8, with: Array("fwd-ledg".utf8))
        expected.replaceSubrange(8..<12, with: [0x21, 0x02, 0x8a, 0xf6])
        for (offset, octet): (Int, UInt8) in [
            (12, 1), (16, 0x14), (24, 0x13), (32, 0x12), (40, 0x0a), (48, 0x0b), (56, 0x0c), (64, 0x11), (65, 0x10),
            (72, 1), (80, 0x0f), (88 + 3 * 8, 0x0e), (200, 1), (216, 0x0d), (220, 1), (224 + 3 * 8, 0x0e),
            (336, 1), (344, 2), (352, 3), (368, 4),
        ] { expected[offset] = octet }
        expected.replaceSubrange(360..<368, with: [UInt8](repeating: 0xff, count: 8))
        #expect(octets == expected)
    }

    @Test func `a slot with any octet changed is bad`() {
        var random = RandomNumbers(seed: 7)
        var octets = LedgerSlot.octets(of: Self.entry(past: 12))
        var accepted: [Int] = []
        for index in octets.indices {
            let change = UInt8.random(in: 1...255, using: &random)
            octets[index] ^= change
            if LedgerSlot.content(of: octets) != .bad { accepted.append(index) }
            octets[index] ^= change
        }
        #expect(accepted == [])
    }

    @Test func `zeros, too few octets and an end before its beginning are bad`() {
        #expect(LedgerSlot.content(of: [UInt8](repeating: 0, count: 4096)) == .bad)
        #expect(LedgerSlot.content(of: LedgerSlot.octets(of: Self.entry(past: 0)).dropLast()) == .bad)
        #expect(LedgerSlot.content(of: []) == .bad)
        #expect(LedgerSlot.content(of: Self.resealed { $0[48] = 1 }) == .bad)
        #expect(LedgerSlot.content(of: Self.resealed { $0[220] = 13 }) == .bad)
    }

    @Test func `a slot of another version is neither good nor bad`() {
        #expect(LedgerSlot.content(of: Self.resealed { $0[12] = 2 }) == .foreign(version: 2))
    }

    /// A slot with some octets changed and the checksum made good.
    static func resealed(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var octets = LedgerSlot.octets(of: entry(past: 2))
        change(&octets)
        let sum = crc32c(octets[..<8], octets[12...])
        octets.replaceSubrange(8..<12, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) })
        return octets
    }
}
