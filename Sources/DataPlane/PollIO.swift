import CLinux
import Glibc
package import LinuxSystem
import SystemPackage

/// poll(2), read(2), write(2): works wherever a tun does, also where seccomp forbids io_uring.
package struct PollIO: PacketIO, ~Copyable {
    /// Frames read from one port before the other has its turn.
    private static let burst = 32

    private let ports: PortDescriptors
    private var arena: FrameArena
    private var free: Slab<UInt16>
    private var freeCount: Int
    private var readable: (inside: Bool, outside: Bool) = (false, false)
    private var turn = Side.inside
    private var turnLeft = PollIO.burst

    private var refused: RefusedFrames

    package init(ports: PortDescriptors, slots: Int) throws(KernelError) {
        let arena = try FrameArena(slots: slots)
        var free = try Slab<UInt16>(count: slots)
        let refused = try RefusedFrames(slots: slots)
        for slot in 0..<slots { free[slot] = UInt16(slots - 1 - slot) }
        self.ports = ports
        self.arena = arena
        self.free = free
        self.refused = refused
        freeCount = slots
    }

    package mutating func wait(milliseconds: Int) throws(KernelError) {
        var set: InlineArray<3, pollfd> = [
            pollfd(fd: ports.inside, events: Int16(POLLIN), revents: 0),
            pollfd(fd: ports.outside, events: Int16(POLLIN), revents: 0),
            pollfd(fd: ports.wake, events: Int16(POLLIN), revents: 0),
        ]
        var span = set.mutableSpan
        let answer = unsafe span.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 3, CInt(milliseconds)) }
        guard answer >= 0 || errno == EINTR else { throw KernelError("poll", Errno(rawValue: errno), "ports") }
        readable = (set[0].revents != 0, set[1].revents != 0)
        turnLeft = Self.burst
        if set[2].revents != 0 { EventDescriptor.lower(ports.wake) }
    }

    package mutating func next() throws(KernelError) -> Arrival? {
        while readable.inside || readable.outside {
            guard turn == .inside ? readable.inside : readable.outside, turnLeft > 0 else {
                turn = turn.opposite
                turnLeft = Self.burst
                continue
            }
            guard freeCount > 0 else { return nil }
            let slot = free[freeCount - 1]
            let length = unsafe read(ports[turn], arena.address(of: slot), FrameArena.capacity)
            if length >= 0 {
                freeCount -= 1
                turnLeft -= 1
                return Arrival(Frame(slot: slot, length: length), from: turn)
            }
            let error = Errno(rawValue: errno)
            guard !error.isEndOfPort else { throw KernelError("read", error, turn.portName) }
            if turn == .inside { readable.inside = false } else { readable.outside = false }
        }
        return nil
    }

    package mutating func transmit(_ frame: consuming Frame, to side: Side) {
        let length = frame.length
        let written = unsafe write(ports[side], arena.address(of: frame.slot), length)
        guard written < 0 else { return recycle(frame) }
        let error = errno
        refused.append(slot: frame.surrender(), length: length, by: side, errno: error)
    }

    package mutating func recycle(_ frame: consuming Frame) {
        free[freeCount] = frame.surrender()
        freeCount += 1
    }

    /// Nothing waits: `transmit` writes at once.
    package mutating func flush() {}

    package mutating func nextRefused() -> RefusedFrame? { refused.next() }

    @_lifetime(&self)
    package mutating func octets(of frame: borrowing Frame) -> MutableRawSpan { arena.octets(of: frame) }
}
