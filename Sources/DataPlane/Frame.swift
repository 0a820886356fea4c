import Glibc
package import LinuxSystem
import PacketParse

/// The two ports of ours, each facing one edge.
package enum Side: Int, Sendable, CaseIterable, BitwiseCopyable {
    /// Faces the tailnet.
    case inside = 0
    /// Faces the VPN.
    case outside = 1

    package var opposite: Side { self == .inside ? .outside : .inside }
}

/// One buffer slot on loan: a virtio header and one IP packet, perhaps a super-packet.
///
/// A frame has a single owner: the loop, or the kernel while a read or write is in flight. Passing it on consumes it, so
/// sending it twice does not compile; one that is neither passed on nor recycled trips the assertion.
package struct Frame: ~Copyable {
    package let slot: UInt16
    /// Octets in use, the virtio header's ten included.
    package var length: Int

    consuming func surrender() -> UInt16 {
        let number = slot
        discard self
        return number
    }

    deinit { assertionFailure("frame \(slot) is lost") }
}

/// The memory of all frames: one huge page where the kernel grants one, which spares the copies in and out a tenth of
/// their time.
///
/// Slots are an odd number of cache lines apart, so that the headers of a batch do not fall into the same cache set. A
/// packet begins twelve octets behind the slot's start: the payload of a common TCP packet (20 octets of IPv4, 32 of TCP
/// with timestamps) then lies at the start of a cache line, where the kernel copies fastest.
package struct FrameArena: ~Copyable {
    /// The largest IP packet (IPv6 counts its payload alone in sixteen bits) and the virtio header.
    package static let capacity = IPv6Header.size + 65535 + VirtioNetHeader.size
    static let stride = 1027 * 64
    private static let lead = 2
    private static let hugePage = 2 << 20

    /// Slots that fit a huge page.
    package static let slotsPerHugePage = hugePage / stride

    private let memory: Slab<UInt8>
    /// Where the first slot begins, so that it begins a huge page.
    private let start: Int

    package init(slots: Int) throws(KernelError) {
        // The mapping is larger by a huge page, to begin on one; what is not touched costs nothing.
        let span = (slots * Self.stride).roundedUp(to: Self.hugePage)
        let memory = try Slab<UInt8>(count: span + Self.hugePage)
        let begin = unsafe Int(bitPattern: memory.address(of: 0))
        start = begin.roundedUp(to: Self.hugePage) - begin
        if slots > 1 {
            // Advice: without huge pages all is the same, only slower.
            _ = unsafe madvise(memory.address(of: start), span, MADV_HUGEPAGE)
        }
        self.memory = memory
    }

    /// Where a slot's virtio header lies, for a call into the kernel.
    @inline(always) func address(of slot: UInt16) -> UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(memory.address(of: start &+ Int(slot) &* Self.stride &+ Self.lead))
    }

    /// A frame's octets, virtio header and packet.
    @inline(always) @_lifetime(&self)
    package mutating func octets(of frame: borrowing Frame) -> MutableRawSpan {
        octets(inSlot: frame.slot, length: frame.length)
    }

    @inline(always) @_lifetime(&self)
    mutating func octets(inSlot slot: UInt16, length: Int) -> MutableRawSpan {
        precondition(length >= 0 && length <= Self.capacity)
        let octets = unsafe MutableRawSpan(_unsafeStart: address(of: slot), byteCount: length)
        return unsafe _overrideLifetime(octets, mutating: &self)
    }
}

extension Int {
    fileprivate func roundedUp(to unit: Int) -> Int { (self + unit - 1) / unit * unit }
}
