import LinuxSystem

/// Both directions' shapers, and whether they are asked at all.
struct Shaping: ~Copyable {
    /// Octets of packets that may wait, each way: a second at 32 Mbit/s, an eighth of a second at a quarter of a gigabit.
    private static let memory = 4 << 20
    /// Milliseconds after which the loop looks around though nothing waits.
    private static let longestPause = 1000

    var toOutside: Shaper
    var toInside: Shaper
    /// Packets are queued: there is a limit, or some are left of one.
    private(set) var isActive = false
    /// Nothing of clients passes.
    private(set) var isClosed = false

    init(now: UInt64) throws(KernelError) {
        let toOutside = try Shaper(memory: Self.memory, now: now)
        let toInside = try Shaper(memory: Self.memory, now: now)
        self.toOutside = toOutside
        self.toInside = toInside
    }

    mutating func follow(_ gate: Gate, now: UInt64) {
        isClosed = gate == .closed
        let rate: UInt64? = if case .limited(let bitsPerSecond) = gate { bitsPerSecond } else { nil }
        toOutside.limit(to: rate, now: now)
        toInside.limit(to: rate, now: now)
        if isClosed {
            toOutside.clear()
            toInside.clear()
        }
        // What was cleared is still to be counted.
        isActive = true
    }

    /// Once the last packet has left that a limit was for, nobody asks any more.
    mutating func settle() {
        isActive = toOutside.rate != nil || toOutside.queue.count + toInside.queue.count > 0
    }

    /// Whether super-packets are cut before they wait.
    var splits: Bool { toOutside.rate ?? .max < Shaper.splitsBelow }

    /// Milliseconds until something may be released, rounded up.
    @inline(always)
    func pause(after now: UInt64) -> Int {
        guard isActive else { return Self.longestPause }
        let wake = min(toOutside.nextWake ?? .max, toInside.nextWake ?? .max)
        guard wake > now else { return 0 }
        return Int(min((wake - now + 999_999) / 1_000_000, UInt64(Self.longestPause)))
    }
}
