import PacketParse
import TestSupport
import Testing

@testable import DataPlane

/// Something that packets are offered to and that lets them go at a rate.
private protocol Link: ~Copyable {
    mutating func offer(_ packet: QueuedPacket, now: UInt64) throws(DropReason)
    mutating func take(now: UInt64) -> QueuedPacket?
}

extension Shaper: Link {}

/// A plain queue behind the same bucket: in at the end, out at the front, refused when full.
private struct PlainQueue: Link {
    var bucket: TokenBucket
    private var packets: [QueuedPacket] = []
    private var next = 0
    private var backlog = 0
    private let limit = 256 * 1024

    init(rate: UInt64) { bucket = TokenBucket(rate: rate, burst: 5_000_000, now: 0) }

    mutating func offer(_ packet: QueuedPacket, now: UInt64) {
        guard backlog + packet.length <= limit else { return }
        packets.append(packet)
        backlog += packet.length
    }

    mutating func take(now: UInt64) -> QueuedPacket? {
        guard next < packets.count, bucket.nextAdmission <= now else { return nil }
        let first = packets[next]
        bucket.spend(bytes: first.length, now: now)
        next += 1
        backlog -= first.length
        return first
    }
}

/// What a person feels at a throttled link: senders of bulk that slow down when they lose packets, and among them one
/// that sends a small packet now and then, in virtual time. Beside it the same link with a plain queue.
struct SlowLinkTests {
    private static let millisecond: UInt64 = 1_000_000

    // MARK: Who uses the link

    /// A sender of bulk, as TCP does it: a window that grows by a packet each round trip and halves when one was lost.
    private struct Sender {
        let client: Int
        let flow: Int
        let roundTrip: UInt64
        let length = 1500

        var window = 10.0
        var threshold = Double.infinity
        var inFlight = 0
        var next = 0
        /// The packet whose arrival is to be heard of next; whatever comes instead tells of a loss.
        var expected = 0
        var lossHeardUpTo = 0
        var news: [(moment: UInt64, number: Int)] = []
        var newsRead = 0
        var lastNews: UInt64 = 0

        mutating func hear(now: UInt64) {
            while newsRead < news.count, news[newsRead].moment <= now {
                let number = news[newsRead].number
                newsRead += 1
                lastNews = now
                guard number >= expected else { continue }
                let lost = number - expected
                inFlight -= 1 + lost
                expected = number + 1
                if lost > 0, number >= lossHeardUpTo {
                    window = max(2, window / 2)
                    threshold = window
                    lossHeardUpTo = next
                } else {
                    window += window < threshold ? 1 : 1 / window
                }
            }
            // Nothing heard of for long: begin anew.
            if inFlight > 0, now > lastNews + 3000 * SlowLinkTests.millisecond {
                (inFlight, expected, window, lastNews) = (0, next, 2, now)
            }
        }
    }

    private struct Outcome {
        /// Nanoseconds that each of the small packets waited.
        var delays: [UInt64] = []
        var bytes: [Int: Int] = [:]
        /// The share of the rate that was used.
        var utilisation = 0.0

        func delay(percentile: Int) -> Double {
            let sorted = delays.sorted()
            return Double(sorted[sorted.count * percentile / 100]) / Double(SlowLinkTests.millisecond)
        }
    }

    /// Runs for five seconds, and then for as long as is asked and looked at.
    ///
    /// - Parameter small: whose the small packets are: a hundred octets every twenty milliseconds or so. Nil: nobody's.
    private static func run<L: Link & ~Copyable>(
        _ link: consuming L, rate: UInt64, _ senders: [Sender], small: (client: Int, flow: Int)?,
        step: UInt64 = 200_000, seconds: UInt64 = 30, seed: UInt64
    ) throws -> Outcome {
        var random = RandomNumbers(seed: seed)
        var senders = senders
        var outcome = Outcome()
        var smallSent: [UInt64] = []
        var nextSmall: UInt64 = 0
        let start: UInt64 = 1_000_000_000
        let begin = start + 5000 * millisecond
        let end = begin + seconds * 1000 * millisecond
        var now = start
        while now < end {
            for index in senders.indices {
                senders[index].hear(now: now)
                while senders[index].inFlight < Int(senders[index].window) {
                    let sender = senders[index]
                    let packet = QueuedPacket(
                        client: sender.client, flow: sender.flow, number: sender.next, length: sender.length)
                    try link.offer(packet, now: now)
                    if sender.inFlight == 0 { senders[index].lastNews = now }
                    senders[index].next += 1
                    senders[index].inFlight += 1
                }
            }
            if let small, now >= nextSmall {
                let packet = QueuedPacket(
                    client: small.client, flow: small.flow, number: smallSent.count, length: 100)
                try link.offer(packet, now: now)
                smallSent.append(now)
                nextSmall = now + UInt64.random(in: 10...30, using: &random) * millisecond
            }
            while let packet = link.take(now: now) {
                if now >= begin { outcome.bytes[packet.client, default: 0] += packet.length }
                if let index = senders.firstIndex(where: { $0.client == packet.client && $0.flow == packet.flow }) {
                    senders[index].news.append((now + senders[index].roundTrip, packet.number))
                } else if now >= begin {
                    outcome.delays.append(now - smallSent[packet.number])
                }
            }
            now += step
        }
        outcome.utilisation = Double(outcome.bytes.values.reduce(0, +)) / (Double(rate) / 8 * Double(seconds))
        return outcome
    }

    private static func fair(_ rate: UInt64) throws -> Shaper {
        var shaper = try Shaper(memory: 4 << 20, now: 0)
        shaper.limit(to: rate, now: 0)
        return shaper
    }

    /// Eight flows of bulk: one client has one of them, another seven.
    private static func eightSenders(_ random: inout RandomNumbers) -> [Sender] {
        (0..<8).map { flow in
            Sender(
                client: flow == 0 ? 0 : 1, flow: flow,
                roundTrip: UInt64.random(in: 15...60, using: &random) * millisecond)
        }
    }

    private static func jain(_ shares: [Int]) -> Double {
        let sum = shares.reduce(0.0) { $0 + Double($1) }
        return sum * sum / (Double(shares.count) * shares.reduce(0.0) { $0 + Double($1) * Double($1) })
    }

    // MARK: What is promised

    /// Of another client than the bulk, or of the one that has seven flows of it.
    @Test(arguments: [9, 1], isSoak ? 1...20 : 1...2)
    func `at 10 Mbit a second with eight flows of bulk a small packet waits a few milliseconds, and the link is full`(
        client: Int, seed: UInt64
    ) throws {
        var random = RandomNumbers(seed: seed)
        let outcome = try Self.run(
            Self.fair(10_000_000), rate: 10_000_000, Self.eightSenders(&random), small: (client, 99), seed: seed)
        #expect(outcome.delays.count > 1000)
        #expect(outcome.delay(percentile: 99) < 20, "seed \(seed)")
        #expect(outcome.utilisation > 0.95 && outcome.utilisation < 1.01, "seed \(seed)")
        #expect(Self.jain([outcome.bytes[0, default: 0], outcome.bytes[1, default: 0]]) > 0.95, "seed \(seed)")
    }

    @Test func `in a plain queue it waits for all of the bulk, and who has more flows has more of the link`() throws {
        var random = RandomNumbers(seed: 1)
        let outcome = try Self.run(
            PlainQueue(rate: 10_000_000), rate: 10_000_000, Self.eightSenders(&random), small: (9, 99), seed: 1)
        #expect(outcome.delay(percentile: 99) > 100)
        #expect(Self.jain([outcome.bytes[0, default: 0], outcome.bytes[1, default: 0]]) < 0.95)
    }

    @Test(arguments: [64_000, 512_000] as [UInt64])
    func `a slow link is filled by one flow, and by four, and not starved by what it drops`(rate: UInt64) throws {
        for flows in [1, 4] {
            let senders = (0..<flows).map { Sender(client: $0, flow: 0, roundTrip: 40 * Self.millisecond) }
            let outcome = try Self.run(
                Self.fair(rate), rate: rate, senders, small: nil, step: 1_000_000, seconds: 60, seed: 1)
            #expect(outcome.utilisation > 0.95, "\(flows) flows")
            #expect(Self.jain((0..<flows).map { outcome.bytes[$0, default: 0] }) > 0.95, "\(flows) flows")
        }
    }
}
