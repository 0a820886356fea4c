import CLinux
import Glibc
package import LinuxSystem
import SystemPackage

/// A fixed array of plain values in memory of its own: zeroed, resident only where touched, unmapped by its owner's end.
///
/// Everything the loop keeps lives in slabs, because a Swift `Array` costs a reference count and a uniqueness check where
/// it is changed. This is the only file in which table memory is addressed by pointer; each subscript checks its bounds.
@safe package struct Slab<Element: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
    @usableFromInline let base: UnsafeMutablePointer<Element>
    package let count: Int

    /// Maps room for `count` elements.
    ///
    /// `Element` must be valid when all its octets are zero.
    package init(count: Int) throws(KernelError) {
        let length = max(1, count) * MemoryLayout<Element>.stride
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let memory = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
            throw KernelError("mmap", Errno(rawValue: errno), "\(length) octets")
        }
        unsafe base = memory.bindMemory(to: Element.self, capacity: count)
        self.count = count
    }

    deinit { unsafe munmap(base, max(1, count) * MemoryLayout<Element>.stride) }

    @inlinable package subscript(index: Int) -> Element {
        @inline(always) _read {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
            yield unsafe base[index]
        }
        @inline(always) _modify {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
            yield unsafe &base[index]
        }
    }

    /// Asks for an element's cache line ahead of its use.
    @inline(always) package func prefetch(_ index: Int) {
        unsafe clinux_prefetch(base + index)
    }

    /// Where an element lies, for a call into the kernel. The memory is the slab's and lives as long as it does.
    @inline(always) package func address(of index: Int) -> UnsafeMutablePointer<Element> {
        precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
        return unsafe base + index
    }
}

extension Slab<UInt8> {
    /// A run of octets.
    @_lifetime(&self)
    mutating func octets(_ range: Range<Int>) -> MutableRawSpan {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        let octets = unsafe MutableRawSpan(_unsafeStart: base + range.lowerBound, byteCount: range.count)
        return unsafe _overrideLifetime(octets, mutating: &self)
    }

    /// Copies a run of octets to a place.
    @inline(always)
    mutating func write(_ octets: RawSpan, _ range: Range<Int>, at place: Int) {
        precondition(place >= 0 && place &+ range.count <= count)
        unsafe octets.extracting(range).withUnsafeBytes { source in
            guard let start = source.baseAddress else { return }
            unsafe UnsafeMutableRawPointer(base + place).copyMemory(from: start, byteCount: source.count)
        }
    }
}
