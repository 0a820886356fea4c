package import LinuxSystem
import PacketParse

/// Holds one direction to a rate: a token bucket, and a fair queue of what it does not let pass at once.
///
/// Packets are offered as they come and released as the bucket allows; `nextWake` says when to come back. Without a
/// rate nothing is to be offered, and what is still queued leaves at once, in its order.
package struct Shaper: ~Copyable {
    /// Below this rate, in bits a second, a super-packet is cut: whole, it would hold up everybody behind it for half a
    /// millisecond and more.
    package static let splitsBelow: UInt64 = 1_000_000_000
    /// Nanoseconds by which packets may be released late without loss of rate: what a wait in milliseconds is off by, and
    /// a scheduler with other things to do. Of a second it is 2 %.
    private static let burst: UInt64 = 20_000_000
    private static let longestSegment = 1514
    private static let longestPacket = 65_535

    /// Bits a second; nothing when there is no limit.
    package private(set) var rate: UInt64?
    package internal(set) var queue: FairQueue
    private var bucket: TokenBucket
    private var room: FrameArena
    private let memory: Int

    /// - Parameter memory: octets for packets that wait.
    package init(memory: Int, now: UInt64) throws(KernelError) {
        let queue = try FairQueue(memory: memory)
        let room = try FrameArena(slots: 1)
        self.queue = queue
        self.room = room
        self.memory = memory
        // Of no account until there is a rate.
        bucket = TokenBucket(rate: 1, burst: 0, now: now)
    }

    // MARK: The rate

    /// Changes the rate, in bits a second and never zero, or lifts the limit.
    package mutating func limit(to rate: UInt64?, now: UInt64) {
        defer { self.rate = rate }
        guard let rate else {
            queue.law = nil
            return
        }
        if self.rate == nil {
            bucket = TokenBucket(rate: rate, burst: Self.burst, now: now)
        } else {
            bucket.change(rate: rate, burst: Self.burst, now: now)
        }
        let longest = rate < Self.splitsBelow ? Self.longestSegment : Self.longestPacket
        queue.law = CoDel.Law(rate: rate, longestPacket: longest)
        queue.quantum = longest
        // A sender that listens to nobody keeps at most a second waiting, but a short burst always fits.
        queue.limit = min(memory, max(64 * Self.longestSegment, Int(clamping: rate / 8)))
    }

    // MARK: In

    /// Queues a packet, or the packets that a super-packet stands for.
    ///
    /// - Parameters:
    ///   - octets: virtio header, which has the true header length, and packet, rewritten for its way on.
    ///   - client: a seeded hash of the client's address; `flow`: of all that names the flow, that address included.
    /// - Throws: `badSuperPacket` where that contradicts itself; nothing is queued then.
    package mutating func offer(
        _ octets: inout MutableRawSpan, client: UInt64, flow: UInt64, tag: UInt8 = 0, now: UInt64
    ) throws(DropReason) {
        let length = octets.byteCount - VirtioNetHeader.size
        guard let header = try? VirtioNetHeader(parsing: octets.bytes) else { throw .malformed(.truncated) }
        guard header.gsoType != .none else {
            return queue.enqueue(&octets, wireLength: length, client: client, flow: flow, tag: tag, now: now)
        }
        guard rate ?? .max >= Self.splitsBelow else {
            return try Self.split(
                &octets, header, &room, into: &queue, client: client, flow: flow, tag: tag, now: now)
        }
        let payload = length - Int(header.headerLength)
        guard payload > 0, header.gsoSize > 0 else { throw .refused(.badSuperPacket) }
        let segments = (payload + Int(header.gsoSize) - 1) / Int(header.gsoSize)
        queue.enqueue(
            &octets, wireLength: payload + segments * Int(header.headerLength), client: client, flow: flow, tag: tag,
            now: now)
    }

    private static func split(
        _ octets: inout MutableRawSpan, _ header: VirtioNetHeader, _ room: inout FrameArena,
        into queue: inout FairQueue, client: UInt64, flow: UInt64, tag: UInt8, now: UInt64
    ) throws(DropReason) {
        let packet = octets.bytes.extracting(droppingFirst: VirtioNetHeader.size)
        let summary: PacketSummary
        do throws(ParseError) { summary = try PacketSummary(parsing: packet) } catch { throw .malformed(error) }
        let segmenter = try Segmenter(packet, header, summary)
        for number in 0..<segmenter.count {
            var piece = room.octets(inSlot: 0, length: FrameArena.capacity)
            let length = segmenter.write(number, of: packet, into: &piece)
            var segment = room.octets(inSlot: 0, length: length)
            queue.enqueue(
                &segment, wireLength: length - VirtioNetHeader.size, client: client, flow: flow, tag: tag, now: now)
        }
    }

    // MARK: Out

    /// The next packet that may go now. It goes as soon as nothing is owed, whatever its length, and the next one waits
    /// for that: so the choice falls at the last moment, when a packet that came late may still be first.
    package mutating func release(now: UInt64) -> FairQueue.Departure? {
        guard rate != nil else { return queue.dequeue(now: now) }
        guard queue.count > 0, bucket.nextAdmission <= now, let departure = queue.dequeue(now: now) else {
            return nil
        }
        bucket.spend(bytes: departure.wireLength, now: now)
        return departure
    }

    /// When `release` will have something; nothing when nothing waits.
    package var nextWake: UInt64? {
        guard queue.count > 0 else { return nil }
        return rate == nil ? 0 : bucket.nextAdmission
    }

    /// Writes a packet to a port and forgets it.
    ///
    /// - Returns: as write(2) does.
    package mutating func write(_ departure: consuming FairQueue.Departure, to port: CInt) -> Int {
        queue.write(departure, to: port)
    }

    /// Forgets a packet.
    package mutating func free(_ departure: consuming FairQueue.Departure) { queue.free(departure) }

    /// What was lost since it was asked last.
    package mutating func takeLosses() -> FairQueue.Losses { queue.takeLosses() }

    /// Drops everything that waits.
    package mutating func clear() { queue.clear() }
}
