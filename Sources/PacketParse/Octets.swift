// Reading and writing numbers at octet offsets. The only file of this module with unsafe code.
//
// `unsafeLoadUnaligned(fromByteOffset:)` is called unsafe for the types it can conjure up, not for its bounds: these it
// checks, in release builds too. So a guard that is missing elsewhere is a trap, never a read of someone else's memory.

extension RawSpan {
    @inlinable @inline(__always)
    public func octet(at offset: Int) -> UInt8 { unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self) }

    /// The 16-bit number in network order that begins at `offset`.
    @inlinable @inline(__always)
    public func word16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The 32-bit number in network order that begins at `offset`.
    @inlinable @inline(__always)
    public func word32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The 128-bit number in network order that begins at `offset`.
    @inlinable @inline(__always)
    public func word128(at offset: Int) -> UInt128 {
        UInt128(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt128.self))
    }

    /// The number in this machine's order that begins at `offset`.
    @inlinable @inline(__always)
    public func native<Word: FixedWidthInteger & BitwiseCopyable>(_: Word.Type, at offset: Int) -> Word {
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: Word.self)
    }
}

extension MutableRawSpan {
    @inlinable @inline(__always) @_lifetime(self: copy self)
    public mutating func store(_ octet: UInt8, at offset: Int) {
        storeBytes(of: octet, toByteOffset: offset, as: UInt8.self)
    }

    /// Writes `word` in network order.
    @inlinable @inline(__always) @_lifetime(self: copy self)
    public mutating func store(_ word: UInt16, at offset: Int) {
        storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    /// Writes `word` in network order.
    @inlinable @inline(__always) @_lifetime(self: copy self)
    public mutating func store(_ word: UInt32, at offset: Int) {
        storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// Writes an address as its header holds it: four octets or sixteen.
    @inlinable @inline(__always) @_lifetime(self: copy self)
    public mutating func store(_ address: IPAddress, at offset: Int) {
        if address.isV4 {
            store(address.v4, at: offset)
        } else {
            storeBytes(of: address.bits.bigEndian, toByteOffset: offset, as: UInt128.self)
        }
    }

    /// Writes `word` in this machine's order.
    @inlinable @inline(__always) @_lifetime(self: copy self)
    public mutating func storeNative(_ word: UInt16, at offset: Int) {
        storeBytes(of: word, toByteOffset: offset, as: UInt16.self)
    }
}
