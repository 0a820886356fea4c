import TestSupport
import Testing

@testable import DataPlane

/// Controlled delay against the pseudo-code of RFC 8289 section 5, written down literally and in floating point.
struct CoDelTests {
    private struct Packet: Equatable {
        var number: Int
        var since: UInt64
        var length: Int
    }

    private static let law = CoDel.Law(rate: 10_000_000, longestPacket: 1514)

    private struct Naive {
        var packets: [Packet] = []
        var dropped: [Int] = []
        var firstAboveTime = 0.0
        var dropNext = 0.0
        var count = 0.0
        var lastCount = 0.0
        var isDropping = false

        let target = 5e6
        let interval = 100e6
        let maxPacket = 1514

        private func controlLaw(_ moment: Double) -> Double { (moment + interval / count.squareRoot()).rounded(.down) }

        private mutating func doDequeue(_ now: Double) -> (packet: Packet?, okToDrop: Bool) {
            guard !packets.isEmpty else {
                firstAboveTime = 0
                return (nil, false)
            }
            let packet = packets.removeFirst()
            let bytes = packets.map(\.length).reduce(0, +)
            var okToDrop = false
            if now - Double(packet.since) < target || bytes <= maxPacket {
                firstAboveTime = 0
            } else if firstAboveTime == 0 {
                firstAboveTime = now + interval
            } else if now >= firstAboveTime {
                okToDrop = true
            }
            return (packet, okToDrop)
        }

        mutating func dequeue(now: UInt64) -> Packet? {
            let now = Double(now)
            var (packet, okToDrop) = doDequeue(now)
            if isDropping {
                if !okToDrop { isDropping = false }
                while now >= dropNext, isDropping {
                    if let packet { dropped.append(packet.number) }
                    count += 1
                    (packet, okToDrop) = doDequeue(now)
                    if okToDrop { dropNext = controlLaw(dropNext) } else { isDropping = false }
                }
            } else if okToDrop {
                if let packet { dropped.append(packet.number) }
                (packet, _) = doDequeue(now)
                isDropping = true
                let delta = count - lastCount
                count = delta > 1 && now - dropNext < 16 * interval ? delta : 1
                dropNext = controlLaw(now)
                lastCount = count
            }
            return packet
        }
    }

    /// A queue that does what it is told.
    private struct Queue {
        var packets: [Packet] = []
        var dropped: [Int] = []
        var codel = CoDel()

        mutating func dequeue(now: UInt64) -> Packet? {
            while !packets.isEmpty {
                let packet = packets.removeFirst()
                let backlog = packets.map(\.length).reduce(0, +)
                guard codel.judge(sojourn: now - packet.since, backlog: backlog, now: now, CoDelTests.law) else {
                    return packet
                }
                dropped.append(packet.number)
            }
            codel.rest()
            return nil
        }
    }

    @Test(arguments: isSoak ? 1...500 : 1...20)
    func `the same packets are dropped as by the pseudo-code`(seed: UInt64) {
        var random = RandomNumbers(seed: seed)
        var queue = Queue()
        var naive = Naive()
        var now: UInt64 = 1_000_000_000
        var number = 0
        var wrong = 0
        // The load comes in spells, each with its pace and so many departures in sixteen arrivals.
        var spell: (pace: UInt64, departures: Int, left: Int) = (0, 0, 0)
        var due = 0
        for _ in 0..<4000 {
            if spell.left == 0 {
                spell = (
                    .random(in: 100_000...2_000_000, using: &random), .random(in: 6...20, using: &random),
                    .random(in: 50...900, using: &random)
                )
            }
            spell.left -= 1
            now += UInt64.random(in: 0...spell.pace, using: &random)
            let packet = Packet(number: number, since: now, length: .random(in: 60...1514, using: &random))
            number += 1
            queue.packets.append(packet)
            naive.packets.append(packet)
            due += spell.departures
            while due >= 16 {
                due -= 16
                now += UInt64.random(in: 0...10_000, using: &random)
                if queue.dequeue(now: now) != naive.dequeue(now: now) { wrong += 1 }
            }
        }
        #expect(wrong == 0, "seed \(seed)")
        #expect(queue.dropped == naive.dropped, "seed \(seed)")
        #expect(queue.dropped.count > 5)
    }

    @Test func `a queue that stands is told of at intervals that shrink with the square root of their number`() {
        var codel = CoDel()
        var told: [UInt64] = []
        for millisecond in 0..<500 as Range<UInt64> {
            let now = 1_000_000_000 + millisecond * 1_000_000
            if codel.judge(sojourn: 20_000_000, backlog: 100_000, now: now, Self.law) { told.append(millisecond) }
        }
        // 100 after the first, and 100 / √2, / √3, / √4 ... after each other.
        #expect(told == [100, 200, 271, 329, 379, 424, 464])
    }

    @Test func `a short burst is nothing to tell of`() {
        var codel = CoDel()
        var told = 0
        for step in 0..<10_000 as Range<UInt64> {
            // Ninety milliseconds above the target, then one packet below it.
            let sojourn: UInt64 = step % 91 == 90 ? 4_999_999 : 80_000_000
            if codel.judge(sojourn: sojourn, backlog: 100_000, now: 1 + step * 1_000_000, Self.law) { told += 1 }
        }
        #expect(told == 0)
    }

    @Test(arguments: [8000, 64_000, 512_000, 10_000_000, 1_000_000_000] as [UInt64])
    func `the target leaves room for a packet on its way, however slow the link`(rate: UInt64) {
        let law = CoDel.Law(rate: rate, longestPacket: 1514)
        let packetTime = 1514 * 8_000_000_000 / rate
        #expect(law.target >= max(5_000_000, packetTime * 3 / 2))
        #expect(law.target <= max(5_000_000, packetTime * 2))
        #expect(law.interval >= max(100_000_000, 2 * law.target))
        let isFast = rate >= 10_000_000
        #expect(!isFast || law.target == 5_000_000 && law.interval == 100_000_000)
    }
}
