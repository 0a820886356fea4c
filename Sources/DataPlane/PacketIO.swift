import Glibc
package import LinuxSystem
package import SystemPackage

/// How frames come from the ports and go to them: the one seam of the loop, because it has two real implementations.
///
/// The contract, in the order of a round: `wait` hands the kernel what is queued and blocks until something happens;
/// `next` gives what arrived, until there is no more; each frame goes back by `transmit` or `recycle`; `nextRefused` gives
/// frames back that the kernel did not take.
package protocol PacketIO: ~Copyable {
    /// Writes what `transmit` queued, then waits until a packet or a wake-up is there, at most `milliseconds`.
    mutating func wait(milliseconds: Int) throws(KernelError)

    /// The next frame received in this round.
    mutating func next() throws(KernelError) -> Arrival?

    /// Passes a frame to a port. It is written at the latest by the next `wait`, frames of one port in their order.
    mutating func transmit(_ frame: consuming Frame, to side: Side)

    mutating func recycle(_ frame: consuming Frame)

    /// Writes what `transmit` queued now, so that what is written past the queue does not overtake it.
    mutating func flush()

    /// The next frame that a port refused.
    mutating func nextRefused() -> RefusedFrame?

    @_lifetime(&self)
    mutating func octets(of frame: borrowing Frame) -> MutableRawSpan
}

extension Errno {
    /// Whether a port said that its interface is gone. Anything else is about one packet.
    var isEndOfPort: Bool { [Glibc.EBADFD, Glibc.EBADF, Glibc.ENODEV].contains(rawValue) }
}

/// A frame and the port it was read from.
package struct Arrival: ~Copyable {
    private let frame: Frame
    package let side: Side

    init(_ frame: consuming Frame, from side: Side) {
        self.frame = frame
        self.side = side
    }

    package consuming func take() -> Frame { frame }
}

/// A frame that a port did not take, and why.
package struct RefusedFrame: ~Copyable {
    private let frame: Frame
    package let side: Side
    package let errno: Errno

    init(_ frame: consuming Frame, by side: Side, _ errno: Errno) {
        self.frame = frame
        self.side = side
        self.errno = errno
    }

    package consuming func take() -> Frame { frame }
}

/// The descriptors that a loop works on. They stay the property of whoever opened them.
package struct PortDescriptors: Sendable {
    package let inside: CInt
    package let outside: CInt
    /// An eventfd that wakes the loop up.
    package let wake: CInt

    package init(inside: CInt, outside: CInt, wake: CInt) {
        self.inside = inside
        self.outside = outside
        self.wake = wake
    }

    @inline(always) package subscript(side: Side) -> CInt { side == .inside ? inside : outside }
}

/// Frames that ports refused, in the order in which they were to be written: pieces of one flow must not overtake each
/// other when they are tried again.
struct RefusedFrames: ~Copyable, Sendable {
    struct Entry: BitwiseCopyable {
        var slot: UInt16
        var side: Side
        var errno: CInt
        var length: Int
    }

    private var entries: Slab<Entry>
    private var count = 0
    private var told = 0

    /// Room for every slot there is: a frame is refused at most once before it is taken.
    init(slots: Int) throws(KernelError) { entries = try Slab(count: slots) }

    mutating func append(slot: UInt16, length: Int, by side: Side, errno: CInt) {
        entries[count] = Entry(slot: slot, side: side, errno: errno, length: length)
        count += 1
    }

    mutating func next() -> RefusedFrame? {
        guard told < count else {
            told = 0
            count = 0
            return nil
        }
        let entry = entries[told]
        told += 1
        return RefusedFrame(Frame(slot: entry.slot, length: entry.length), by: entry.side, Errno(rawValue: entry.errno))
    }
}
