/// Controlled delay (RFC 8289): says which packets are to carry the news that a queue stands.
///
/// A few words, one such per queue, which asks about every packet that it takes out. Dropping and marking are the
/// queue's.
package struct CoDel: BitwiseCopyable, Sendable {
    /// What the queues of one link are held to.
    package struct Law: BitwiseCopyable, Sendable {
        /// Nanoseconds that a packet may wait for ever.
        package let target: UInt64
        /// Nanoseconds in which the wait must have been below that once.
        package let interval: UInt64
        /// Octets left in a queue that nobody is punished for.
        package let spared: Int

        /// 5 ms within 100 ms. Where the longest packet alone takes that long, one and a half of it, as CAKE has it: a
        /// slow link would else drop what it has no way to send sooner.
        ///
        /// - Parameter rate: bits a second.
        package init(rate: UInt64, longestPacket: Int) {
            let (standing, roundTrip): (UInt64, UInt64) = (5_000_000, 100_000_000)
            let packetTime = UInt64(longestPacket) * 8_000_000_000 / rate
            target = max(standing, packetTime + packetTime / 2)
            interval = max(roundTrip + target - standing, 2 * target)
            spared = longestPacket
        }
    }

    private enum Phase: UInt8, BitwiseCopyable {
        case passing, signalling
        /// The last packet was one to signal by: the time of the next is still to be found.
        case signalled
    }

    private var phase = Phase.passing
    /// When the wait will have been above the target for an interval; zero while it is below.
    private var firstAboveTime: UInt64 = 0
    /// When the next signal is due, while signalling.
    private var next: UInt64 = 0
    private var count: UInt32 = 0
    private var lastCount: UInt32 = 0

    package init() {}

    /// Whether the packet just taken out is to tell of congestion: dropped, or marked where that is understood. After a
    /// drop, the packet that takes its place is asked about as well.
    ///
    /// - Parameters:
    ///   - sojourn: nanoseconds that it waited.
    ///   - backlog: octets behind it in the queue.
    package mutating func judge(sojourn: UInt64, backlog: Int, now: UInt64, _ law: Law) -> Bool {
        let stands = stands(sojourn, backlog, now, law)
        switch phase {
        case .passing:
            guard stands else { return false }
            resume(now, law)
            return true
        case .signalled:
            phase = .signalling
            if stands { next = Self.later(than: next, count, law) }
        case .signalling: break
        }
        guard stands else {
            phase = .passing
            return false
        }
        guard now >= next else { return false }
        count &+= 1
        phase = .signalled
        return true
    }

    /// The queue is empty: nothing waits.
    package mutating func rest() {
        phase = .passing
        firstAboveTime = 0
    }

    /// Whether the wait has been too long for an interval.
    private mutating func stands(_ sojourn: UInt64, _ backlog: Int, _ now: UInt64, _ law: Law) -> Bool {
        guard sojourn >= law.target, backlog > law.spared else {
            firstAboveTime = 0
            return false
        }
        if firstAboveTime == 0 { firstAboveTime = now &+ law.interval }
        return now >= firstAboveTime
    }

    /// Begins to signal, and as often as last time if that was not long ago.
    private mutating func resume(_ now: UInt64, _ law: Law) {
        let gained = count &- lastCount
        let isRecent = Int64(bitPattern: now &- next) < Int64(16 * law.interval)
        count = gained > 1 && isRecent ? gained : 1
        lastCount = count
        next = Self.later(than: now, count, law)
        phase = .signalling
    }

    private static func later(than moment: UInt64, _ count: UInt32, _ law: Law) -> UInt64 {
        moment &+ UInt64(Double(law.interval) / Double(count).squareRoot())
    }
}
