package import LinuxSystem
import SystemPackage

/// Plays packets from memory: the loop without the kernel, for `Tests/Benchmarks`.
///
/// It is here and not there because a loop is fast only where the compiler sees both its halves at once.
struct ReplayIO: PacketIO, ~Copyable {
    /// Octets kept of each message: a virtio header and the headers of a packet.
    static let room = 128
    private static let slots: UInt16 = 256
    /// How many frames ahead of the loop are filled: more than a batch.
    private static let lead: UInt16 = 128

    private var messages: Slab<UInt8>
    private let count: Int
    private let length: Int
    private let side: Side
    private let inquiries: Inquiries
    private var arena: FrameArena
    private var position = 0
    private var slot: UInt16 = 0
    /// Packets left of this pass, and of the one after it.
    private var left: Int
    private var later: Int
    /// When the current pass began.
    private(set) var began: UInt64 = 0

    /// - Parameters:
    ///   - warmUp: packets of a first pass, in which flows are opened.
    ///   - packets: of the second.
    init(_ replay: borrowing Replay, warmUp: Int, packets: Int, inquiries: Inquiries) throws(KernelError) {
        var messages = try Slab<UInt8>(count: replay.messages.count * Self.room)
        for (index, message) in replay.messages.enumerated() {
            for (offset, octet) in message.prefix(Self.room).enumerated() {
                messages[index * Self.room + offset] = octet
            }
        }
        let arena = try FrameArena(slots: Int(Self.slots))
        self.messages = messages
        self.arena = arena
        count = replay.messages.count
        length = replay.messages.first?.count ?? 0
        side = replay.side
        left = warmUp
        later = packets
        self.inquiries = inquiries
        for slot in 0..<Self.lead { fill(slot) }
    }

    /// Where the loop would sleep, a pass is over.
    mutating func wait(milliseconds: Int) throws(KernelError) {
        guard left == 0 else { return }
        if later == 0 {
            inquiries.stop()
        } else {
            (left, later) = (later, 0)
            began = MonotonicClock().nanoseconds
        }
    }

    mutating func next() throws(KernelError) -> Arrival? {
        guard left > 0 else { return nil }
        left -= 1
        let frame = Frame(slot: slot, length: length)
        slot = (slot + 1) & (Self.slots - 1)
        fill((slot + Self.lead - 1) & (Self.slots - 1))
        return Arrival(frame, from: side)
    }

    /// The loop changes a packet in place, hence a copy each time: two cache lines that the kernel would have written. As
    /// there, it is done well before the packet is read; right before it the processor would stall on its own stores.
    private mutating func fill(_ slot: UInt16) {
        let from = unsafe UnsafeRawPointer(messages.address(of: position * Self.room))
        unsafe arena.address(of: slot).copyMemory(from: from, byteCount: Self.room)
        position = position + 1 < count ? position + 1 : 0
    }

    mutating func transmit(_ frame: consuming Frame, to side: Side) { _ = frame.surrender() }
    mutating func recycle(_ frame: consuming Frame) { _ = frame.surrender() }
    mutating func flush() {}
    mutating func nextRefused() -> RefusedFrame? { nil }

    @_lifetime(&self)
    mutating func octets(of frame: borrowing Frame) -> MutableRawSpan { arena.octets(of: frame) }
}

/// What the loop costs without the kernel: messages that are played to it again and again.
package struct Replay: ~Copyable {
    /// Virtio header and packet, all of one length.
    package let messages: [[UInt8]]
    package let side: Side

    package init(_ messages: [[UInt8]], from side: Side) {
        self.messages = messages
        self.side = side
    }

    /// Runs the loop over `warmUp` packets, then over `packets` more.
    ///
    /// - Returns: nanoseconds that the second pass took, and the loop's counts at its end.
    package func run(
        warmUp: Int, packets: Int, _ nat: consuming NAT
    ) throws(KernelError) -> (nanoseconds: UInt64, Statistics) {
        let inquiries = try Inquiries()
        let io = try ReplayIO(self, warmUp: warmUp, packets: packets, inquiries: inquiries)
        var loop = try Loop(
            io: io, inside: Port(adopting: OwnedDescriptor(-1), name: "inside", offloads: .all),
            outside: Port(adopting: OwnedDescriptor(-1), name: "outside", offloads: .all), nat: nat, clock: LoopClock(),
            inquiries: inquiries)
        try loop.run()
        return (MonotonicClock().nanoseconds - loop.io.began, loop.statistics)
    }
}
