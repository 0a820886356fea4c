import Glibc
package import LinuxSystem

/// Packets that wait, copied into cells of their own: a queue never keeps a buffer that the ports read into.
///
/// A packet takes as many cells as it needs, wherever they are, so that small packets and super-packets share the
/// memory with little lost and none ever moved. Cells never used are not resident; those given back are used again
/// first.
@safe package struct PacketStore: ~Copyable {
    /// A common packet of 1500 octets fills six cells but for 26 octets, an acknowledgement has one.
    package static let cellSize = 256
    /// A virtio header and the longest packet.
    private static let mostCells = (FrameArena.capacity + cellSize - 1) / cellSize

    package private(set) var cellsFree: Int

    private var memory: Slab<UInt8>
    // Cells are kept plus one, so that zeroed memory means "none".
    private var following: Slab<UInt32>
    private var returned: UInt32 = 0
    /// Behind this, no cell was ever used.
    private var watermark = 0
    private var pieces: Slab<iovec>

    package init(cells: Int) throws(KernelError) {
        let memory = try Slab<UInt8>(count: cells * Self.cellSize)
        let following = try Slab<UInt32>(count: cells)
        let pieces = try unsafe Slab<iovec>(count: Self.mostCells)
        self.memory = memory
        self.following = following
        unsafe self.pieces = pieces
        cellsFree = cells
    }

    @inline(always) package static func cells(for length: Int) -> Int { (length &+ cellSize &- 1) / cellSize }

    /// Keeps a copy.
    ///
    /// - Parameter octets: only read; a span that is borrowed for its octets would be put on the heap (Swift 6.3).
    /// - Returns: the packet's first cell, by which it is named; nothing when there is no room.
    package mutating func store(_ octets: inout MutableRawSpan) -> Int? {
        let length = octets.byteCount
        guard length > 0, Self.cells(for: length) <= cellsFree else { return nil }
        let first = takeCell()
        var cell = first
        var start = 0
        while true {
            let end = min(start &+ Self.cellSize, length)
            memory.write(octets.bytes, start..<end, at: cell &* Self.cellSize)
            start = end
            guard start < length else { break }
            let next = takeCell()
            following[cell] = UInt32(truncatingIfNeeded: next &+ 1)
            cell = next
        }
        following[cell] = 0
        return first
    }

    /// A cell that is free; there must be one.
    private mutating func takeCell() -> Int {
        cellsFree &-= 1
        guard returned != 0 else {
            watermark &+= 1
            return watermark &- 1
        }
        let cell = Int(returned) &- 1
        returned = following[cell]
        return cell
    }

    /// Gives a packet's cells back.
    package mutating func free(_ packet: Int) {
        var last = packet
        cellsFree &+= 1
        while following[last] != 0 {
            last = Int(following[last]) &- 1
            cellsFree &+= 1
        }
        following[last] = returned
        returned = UInt32(truncatingIfNeeded: packet &+ 1)
    }

    // MARK: Taking out

    /// A packet's octets, as far as its first cell holds them: all its headers but rare ones.
    @_lifetime(&self)
    package mutating func beginning(of packet: Int, length: Int) -> MutableRawSpan {
        let start = packet &* Self.cellSize
        return memory.octets(start..<start &+ min(length, Self.cellSize))
    }

    /// Writes a packet to a port.
    ///
    /// - Returns: as write(2) does.
    package mutating func write(_ packet: Int, length: Int, to port: CInt) -> Int {
        var cell = packet
        var left = length
        var count = 0
        while true {
            let place = unsafe UnsafeMutableRawPointer(memory.address(of: cell &* Self.cellSize))
            let size = min(left, Self.cellSize)
            unsafe pieces[count] = iovec(iov_base: place, iov_len: size)
            count &+= 1
            left &-= size
            guard left > 0 else { break }
            cell = Int(following[cell]) &- 1
        }
        return unsafe writev(port, pieces.address(of: 0), CInt(truncatingIfNeeded: count))
    }
}
