import CLinux
import CUring
import Glibc
package import LinuxSystem
import SystemPackage

/// io_uring: one multishot read per port with provided buffers, writes batched into the system call that waits.
///
/// A read stays armed and takes a buffer for each packet; a tun write runs to its end within the submission. So a round
/// costs one system call, however many packets it moves. Slots of one port are lent to that port's reads only: a flood on
/// one side cannot take the other side's buffers. Must be made on the thread that uses it.
package struct UringIO: PacketIO, ~Copyable {
    /// What a completion is about, in its tag's upper half; the lower half is the slot.
    private enum Tag {
        static let read: UInt64 = 0
        static let write: UInt64 = 2
        static let wake: UInt64 = 4
    }

    private let ports: PortDescriptors
    private let slotsPerPort: Int
    /// Places in a port's buffer ring: slots, up to a power of two.
    private let entryCount: UInt32
    // Before the arena, which its reads write to: the first to be declared is the first to go.
    private let ring: Ring
    private var arena: FrameArena
    private let bufferRings: Slab<UInt8>
    private let bufferRingSpan: Int
    private var lengths: Slab<Int32>

    /// Buffers that the kernel holds for reads, by port; and of these not yet published.
    private var provided: InlineArray<2, Int> = .init(repeating: 0)
    private var unpublished: InlineArray<2, Int> = .init(repeating: 0)
    private var isArmed: InlineArray<2, Bool> = .init(repeating: false)
    private var isWakeArmed = false

    private var refused: RefusedFrames

    /// - Parameter slots: buffers per port.
    package init(ports: PortDescriptors, slots: Int) throws(KernelError) {
        guard curing_has_multishot_read() else {
            throw KernelError("IORING_OP_READ_MULTISHOT", .notSupported, "before Linux 6.8")
        }
        let arena = try FrameArena(slots: 2 * slots)
        let lengths = try Slab<Int32>(count: 2 * slots)
        let refused = try RefusedFrames(slots: 2 * slots)
        let ring = try Ring(entries: 256)
        // The entries of a buffer ring, sixteen octets each, begin on a page of their own.
        var entryCount = 1
        while entryCount < slots { entryCount *= 2 }
        let span = (entryCount * 16 + 4095) / 4096 * 4096
        let bufferRings = try Slab<UInt8>(count: 2 * span)
        for side in Side.allCases {
            let entries = unsafe bufferRings.address(of: side.rawValue * span)
            try check(
                "IORING_REGISTER_PBUF_RING", side.portName,
                unsafe curing_provide(ring.raw, entries, UInt32(entryCount), CInt(side.rawValue)))
        }
        self.ports = ports
        slotsPerPort = slots
        self.entryCount = UInt32(entryCount)
        self.arena = arena
        self.lengths = lengths
        self.refused = refused
        self.ring = ring
        bufferRingSpan = span
        self.bufferRings = bufferRings
        for slot in 0..<2 * slots { give(UInt16(slot)) }
    }

    /// Asks the kernel for all that a loop would ask for, and gives it back.
    package static func tryOut() throws(KernelError) {
        let wake = try EventDescriptor()
        _ = try UringIO(
            ports: PortDescriptors(inside: wake.raw, outside: wake.raw, wake: wake.raw),
            slots: LoopThread.slotsPerPort)
    }

    // MARK: Buffers

    /// Lends a slot to its port's reads.
    @inline(always) private mutating func give(_ slot: UInt16) {
        let side = Int(slot) < slotsPerPort ? 0 : 1
        unsafe curing_return(
            entries(side), arena.address(of: slot), UInt32(FrameArena.capacity), slot, entryCount,
            CInt(truncatingIfNeeded: unpublished[side]))
        unpublished[side] += 1
        provided[side] += 1
    }

    @inline(always) private func entries(_ side: Int) -> UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(bufferRings.address(of: side * bufferRingSpan))
    }

    private mutating func publish() {
        for side in 0..<2 where unpublished[side] > 0 {
            unsafe curing_publish(entries(side), CInt(truncatingIfNeeded: unpublished[side]))
            unpublished[side] = 0
        }
    }

    // MARK: The round

    package mutating func wait(milliseconds: Int) throws(KernelError) {
        publish()
        for side in Side.allCases where !isArmed[side.rawValue] && provided[side.rawValue] > 0 {
            isArmed[side.rawValue] = unsafe curing_read_multishot(
                ring.raw, ports[side], CInt(side.rawValue), (Tag.read + UInt64(side.rawValue)) << 32)
        }
        if !isWakeArmed { isWakeArmed = unsafe curing_poll_multishot(ring.raw, ports.wake, Tag.wake << 32) }
        try check("io_uring_enter", "ring", unsafe curing_submit_and_wait(ring.raw, Int64(milliseconds)))
    }

    package mutating func next() throws(KernelError) -> Arrival? {
        var completion = curing_completion()
        while unsafe curing_take(ring.raw, &completion) {
            let kind = completion.tag >> 32
            let side = kind & 1 == 0 ? Side.inside : .outside
            switch kind & ~1 {
            case Tag.read:
                if completion.flags & IORING_CQE_F_MORE == 0 { isArmed[side.rawValue] = false }
                // An empty read, which a tun never makes, comes without a buffer.
                if completion.flags & IORING_CQE_F_BUFFER != 0 {
                    provided[side.rawValue] -= 1
                    let slot = UInt16(truncatingIfNeeded: completion.flags >> 16)
                    return Arrival(Frame(slot: slot, length: Int(completion.result)), from: side)
                }
                // Out of buffers, a full completion queue, a packet that cannot be read: the read is armed again.
                let error = Errno(rawValue: -completion.result)
                guard !error.isEndOfPort else { throw KernelError("read", error, side.portName) }
            case Tag.write:
                let slot = UInt16(truncatingIfNeeded: completion.tag)
                if completion.result >= 0 {
                    give(slot)
                } else {
                    refused.append(
                        slot: slot, length: Int(lengths[Int(slot)]), by: side, errno: -completion.result)
                }
            default:
                if completion.flags & IORING_CQE_F_MORE == 0 { isWakeArmed = false }
                EventDescriptor.lower(ports.wake)
            }
        }
        return nil
    }

    package mutating func transmit(_ frame: consuming Frame, to side: Side) {
        let length = frame.length
        let slot = frame.surrender()
        lengths[Int(slot)] = Int32(truncatingIfNeeded: length)
        let tag = (Tag.write + UInt64(side.rawValue)) << 32 | UInt64(slot)
        let isQueued = unsafe curing_write(ring.raw, ports[side], arena.address(of: slot), UInt32(length), tag)
        guard !isQueued else { return }
        refused.append(slot: slot, length: length, by: side, errno: EAGAIN)
    }

    package mutating func recycle(_ frame: consuming Frame) { give(frame.surrender()) }

    package mutating func flush() { unsafe curing_flush(ring.raw) }

    package mutating func nextRefused() -> RefusedFrame? { refused.next() }

    @_lifetime(&self)
    package mutating func octets(of frame: borrowing Frame) -> MutableRawSpan { arena.octets(of: frame) }
}

/// An io_uring with one owner.
@safe private struct Ring: ~Copyable {
    /// Valid while the owner lives.
    let raw: UnsafeMutablePointer<io_uring>

    init(entries: UInt32) throws(KernelError) {
        let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        unsafe ring.initialize(to: io_uring())
        let answer = unsafe curing_open(ring, entries)
        guard answer == 0 else {
            unsafe ring.deallocate()
            throw KernelError("io_uring_setup", Errno(rawValue: -answer), "ring")
        }
        unsafe raw = ring
    }

    deinit {
        unsafe io_uring_queue_exit(raw)
        unsafe raw.deallocate()
    }
}
