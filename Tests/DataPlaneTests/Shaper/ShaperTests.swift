import Glibc
import PacketParse
import TestSupport
import Testing

@testable import DataPlane

extension Shaper {
    mutating func offer(_ octets: inout [UInt8], client: Int = 0, flow: Int = 0, now: UInt64) throws(DropReason) {
        let name = QueuedPacket(client: client, flow: flow, number: 0, length: 40)
        var span = octets.mutableSpan
        var raw = unsafe span.mutableBytes
        try offer(&raw, client: name.clientHash, flow: name.flowHash, now: now)
    }

    mutating func offer(_ packet: QueuedPacket, now: UInt64) throws(DropReason) {
        var octets = packet.octets
        try offer(&octets, client: packet.client, flow: packet.flow, now: now)
    }

    mutating func take(now: UInt64) -> QueuedPacket? {
        guard let departure = release(now: now) else { return nil }
        return read(departure)
    }
}

/// The shaper in virtual time.
struct ShaperTests {
    private static let second: UInt64 = 1_000_000_000
    private static let memory = 4 << 20

    private static func superPacket(payload: Int, segment: Int) -> (packet: TestPacket, header: VirtioNetHeader) {
        var random = RandomNumbers(seed: 9)
        let packet = TestPacket.tcp(
            from: TestPacket.client4, 7, to: TestPacket.remote4, 9, flags: 0x18, payload: random.octets(payload)
        ).with { $0.checksum = .partial }
        var header = VirtioNetHeader()
        header.flags = .needsChecksum
        header.gsoType = .tcp4
        header.gsoSize = UInt16(segment)
        header.headerLength = 40
        header.checksumStart = 20
        header.checksumOffset = 16
        return (packet, header)
    }

    private static func message(_ packet: [UInt8], _ header: VirtioNetHeader) -> [UInt8] {
        var octets = TestPacket.plainHeader + packet
        var span = octets.mutableSpan
        var raw = unsafe span.mutableBytes
        header.write(into: &raw)
        return octets
    }

    // MARK: Rates

    @Test(arguments: [64_000, 512_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000] as [UInt64])
    func `the rate holds within 2 % over ten seconds and 5 % over one, though the loop comes late`(rate: UInt64) throws
    {
        // The fastest moves 2.5 GB in two.
        let seconds = rate > 1_000_000_000 ? 2 : 10
        var random = RandomNumbers(seed: rate)
        let start = 50 * Self.second
        let length = rate >= Shaper.splitsBelow ? 65_000 : 1500
        var octets: [UInt8]
        if length == 1500 {
            octets = QueuedPacket(client: 0, flow: 0, number: 0, length: length).octets
        } else {
            let (packet, header) = Self.superPacket(payload: length - 40, segment: 1460)
            octets = Self.message(packet.octets, header)
        }
        var shaper = try Shaper(memory: Self.memory, now: 0)
        shaper.limit(to: rate, now: start)
        var (now, total, longest) = (start, 0, 0)
        var sent: [(moment: UInt64, total: Int)] = [(start, 0)]
        while now < start + UInt64(seconds) * Self.second {
            while shaper.queue.backlog < 3_000_000 - length, shaper.queue.backlog < shaper.queue.limit - length {
                try shaper.offer(&octets, now: now)
            }
            while let departure = shaper.release(now: now) {
                total += departure.wireLength
                longest = max(longest, departure.wireLength)
                shaper.free(departure)
                // What was let go at once is no more than what is offered: a source that is never idle.
                if shaper.queue.count == 0 { try shaper.offer(&octets, now: now) }
            }
            sent.append((now, total))
            guard let wake = shaper.nextWake else { break }
            now = max(now, wake) + UInt64.random(in: 0...1_000_000, using: &random)
        }
        /// What left in so many tenths of a second, from this one on.
        func left(from tenth: Int, for tenths: Int) -> Int {
            let begin = start + UInt64(tenth) * Self.second / 10
            let end = begin + UInt64(tenths) * Self.second / 10
            let before = sent.last { $0.moment < begin }?.total ?? 0
            return (sent.last { $0.moment <= end }?.total ?? 0) - before
        }
        let perSecond = Int(rate / 8)
        let off = abs(left(from: 0, for: 10 * seconds) - seconds * perSecond)
        #expect(off <= max(seconds * perSecond / 50, longest))
        let worst = (0...10 * (seconds - 1)).map { abs(left(from: $0, for: 10) - perSecond) }.max() ?? .max
        #expect(worst <= max(perSecond / 20, 2 * longest))
    }

    @Test func `nothing leaves a nanosecond before the moment that is told`() throws {
        var shaper = try Shaper(memory: Self.memory, now: 0)
        shaper.limit(to: 777_777, now: 5)
        let none = shaper.nextWake
        #expect(none == nil)
        for number in 0..<20 {
            try shaper.offer(QueuedPacket(client: 0, flow: 0, number: number, length: 1000), now: 5)
        }
        while shaper.take(now: 5) != nil {}
        var wrong = 0
        while let wake = shaper.nextWake {
            let early = shaper.take(now: wake - 1)
            let late = shaper.take(now: wake)
            if early != nil || late == nil { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test func `a lower rate holds from the next packet on, and what waits stays`() throws {
        var shaper = try Shaper(memory: Self.memory, now: 0)
        shaper.limit(to: 10_000_000, now: 0)
        for number in 0..<40 {
            try shaper.offer(QueuedPacket(client: 0, flow: 0, number: number, length: 1000), now: 0)
        }
        var left = 0
        while shaper.take(now: 0) != nil { left += 1 }
        shaper.limit(to: 80_000, now: 0)
        let (count, wake) = (shaper.queue.count, shaper.nextWake ?? 0)
        #expect(count == 40 - left)
        _ = shaper.take(now: wake)
        // A tenth of a second each.
        #expect((shaper.nextWake ?? 0) == wake + 100_000_000)
    }

    // MARK: Super-packets

    @Test func `below 1 Gbit a second a super-packet leaves as its segments`() throws {
        let (near, far) = try socketPair()
        defer { for end in [near, far] { close(end) } }
        let (packet, header) = Self.superPacket(payload: 20_000, segment: 1448)
        var octets = Self.message(packet.octets, header)
        var shaper = try Shaper(memory: Self.memory, now: 0)
        shaper.limit(to: Shaper.splitsBelow - 1, now: 0)
        try shaper.offer(&octets, now: 0)
        var wire: [[UInt8]] = []
        while let departure = shaper.release(now: shaper.nextWake ?? 0) {
            _ = shaper.write(departure, to: near)
            wire += [Wire(descriptor: far).receiveMessage() ?? []]
        }
        let segmenter = try unsafe Segmenter(packet.octets.span.bytes, header, packet.octets.summary())
        let expected = (0..<segmenter.count).map { number in
            var room = [UInt8](repeating: 0, count: 2000)
            var span = room.mutableSpan
            var raw = unsafe span.mutableBytes
            let length = segmenter.write(number, of: unsafe packet.octets.span.bytes, into: &raw)
            return Array(room.prefix(length))
        }
        #expect(wire.count == 14)
        #expect(wire == expected)
    }

    @Test func `from 1 Gbit a second on it leaves whole, and costs what its segments would`() throws {
        let (near, far) = try socketPair()
        defer { for end in [near, far] { close(end) } }
        let (packet, header) = Self.superPacket(payload: 20_000, segment: 1448)
        var octets = Self.message(packet.octets, header)
        var shaper = try Shaper(memory: Self.memory, now: 0)
        shaper.limit(to: Shaper.splitsBelow, now: 0)
        try shaper.offer(&octets, now: 0)
        var (wireLength, written) = (0, 0)
        if let departure = shaper.release(now: 0) {
            wireLength = departure.wireLength
            written = shaper.write(departure, to: near)
        }
        #expect(wireLength == 20_000 + 14 * 40)
        #expect(written == octets.count)
        #expect(Wire(descriptor: far).receiveMessage() == octets)
    }

    @Test(arguments: [64_000, 10_000_000_000] as [UInt64])
    func `a super-packet that contradicts itself is refused as a whole`(rate: UInt64) throws {
        var shaper = try Shaper(memory: Self.memory, now: 0)
        shaper.limit(to: rate, now: 0)
        for change in [\VirtioNetHeader.gsoSize, \VirtioNetHeader.headerLength] {
            var (packet, header) = Self.superPacket(payload: 100, segment: 50)
            header[keyPath: change] = change == \VirtioNetHeader.gsoSize ? 0 : 5000
            // The length of the headers is only a hint where they are read anyway.
            if rate < Shaper.splitsBelow { header.gsoSize = 0 }
            var octets = Self.message(packet.octets, header)
            packet.hopLimit = 1
            #expect(throws: DropReason.refused(.badSuperPacket)) { try shaper.offer(&octets, now: 0) }
        }
        let count = shaper.queue.count
        #expect(count == 0)
    }

    // MARK: No limit, no traffic

    @Test func `when the limit is lifted what waits leaves at once, all of it, in order`() throws {
        var shaper = try Shaper(memory: Self.memory, now: 0)
        shaper.limit(to: 64_000, now: 0)
        for number in 0..<50 {
            try shaper.offer(QueuedPacket(client: number % 2, flow: 0, number: number, length: 1000), now: 0)
        }
        shaper.limit(to: nil, now: 20 * Self.second)
        let wake = shaper.nextWake
        #expect(wake == 0)
        var left: [Int] = []
        while let packet = shaper.take(now: 20 * Self.second) { left.append(packet.number) }
        #expect(left.filter { $0 % 2 == 0 } == Array(stride(from: 0, to: 50, by: 2)))
        #expect(left.filter { $0 % 2 == 1 } == Array(stride(from: 1, to: 50, by: 2)))
        let last = shaper.nextWake
        #expect(last == nil)
    }

    @Test func `what waits when all must stop is dropped and counted`() throws {
        var shaper = try Shaper(memory: Self.memory, now: 0)
        shaper.limit(to: 64_000, now: 0)
        for number in 0..<50 {
            try shaper.offer(QueuedPacket(client: number % 2, flow: 0, number: number, length: 1000), now: 0)
        }
        shaper.clear()
        let (cleared, wake, next) = (shaper.queue.losses.cleared, shaper.nextWake, shaper.take(now: Self.second))
        #expect(cleared == 50)
        #expect(wake == nil && next == nil)
    }
}
