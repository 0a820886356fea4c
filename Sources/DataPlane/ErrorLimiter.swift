package import LinuxSystem

/// Bounds the ICMP errors that we send, as RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f) ask for: no more than the
/// kernel does by default.
///
/// Whoever learns that a packet was too big must learn it, or his connection hangs: such errors have a bucket of their own,
/// which no flood of others can empty, and no limit per destination (Linux: `icmp_ratemask`). Memory is fixed: destinations
/// that fall on the same place share a bucket, which makes us stricter and never more generous.
package struct ErrorLimiter: ~Copyable {
    /// A token bucket whose tokens are time: the moment at which it would be full again. Zeroed memory is a full bucket.
    struct Bucket: BitwiseCopyable {
        var fullAt: UInt64
    }

    /// So many at once, and one more in each interval.
    private struct Rate {
        let interval: UInt64
        let burst: UInt64

        func admits(_ bucket: Bucket, _ now: UInt64) -> Bool { bucket.fullAt <= now &+ (burst - 1) * interval }

        func spend(_ bucket: inout Bucket, _ now: UInt64) { bucket.fullAt = max(bucket.fullAt, now) &+ interval }
    }

    private static let everybody = Rate(interval: 1_000_000, burst: 50)
    private static let oneDestination = Rate(interval: 1_000_000_000, burst: 6)

    private var tooBig = Bucket(fullAt: 0)
    private var others = Bucket(fullAt: 0)
    private var destinations: Slab<Bucket>

    package init() throws(KernelError) { destinations = try Slab(count: 4096) }

    /// Whether one more error may be sent, which is then spent.
    ///
    /// - Parameters:
    ///   - destination: a hash of its address.
    ///   - now: in nanoseconds.
    mutating func admit(_ error: ICMPError, toHash destination: UInt64, now: UInt64) -> Bool {
        guard error != .packetTooBig else {
            guard Self.everybody.admits(tooBig, now) else { return false }
            Self.everybody.spend(&tooBig, now)
            return true
        }
        let place = Int(truncatingIfNeeded: destination & UInt64(destinations.count - 1))
        guard Self.oneDestination.admits(destinations[place], now), Self.everybody.admits(others, now) else {
            return false
        }
        Self.oneDestination.spend(&destinations[place], now)
        Self.everybody.spend(&others, now)
        return true
    }
}
