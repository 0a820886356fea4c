/// What a tun device opened with IFF_VNET_HDR puts before every packet: pending checksum and segmentation
/// (virtio 1.2, section 5.1.6). Numbers are in this machine's order.
public struct VirtioNetHeader: Sendable, BitwiseCopyable {
    /// What is said about the checksum.
    public struct Flags: OptionSet, Sendable, BitwiseCopyable {
        public let rawValue: UInt8
        @inlinable @inline(__always)
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The field at `checksumStart + checksumOffset` holds the pseudo-header's sum; the rest is still to be added.
        public static var needsChecksum: Flags { Flags(rawValue: 1) }
    }

    /// The kind of super-packet, perhaps with `ecn` set.
    public struct GSOType: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
        public let rawValue: UInt8
        @inlinable @inline(__always)
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static var none: GSOType { GSOType(rawValue: 0) }
        public static var tcp4: GSOType { GSOType(rawValue: 1) }
        public static var tcp6: GSOType { GSOType(rawValue: 4) }
        /// UDP to be cut into datagrams, from Linux 6.2.
        public static var udpL4: GSOType { GSOType(rawValue: 5) }
        /// The bit beside a TCP type: CWR belongs to the first segment only.
        public static var ecn: UInt8 { 0x80 }
        /// The kind without the ECN bit.
        public var kind: GSOType { GSOType(rawValue: rawValue & ~Self.ecn) }
    }

    /// Octets that the header takes.
    public static var size: Int { 10 }

    public var flags: Flags
    public var gsoType: GSOType
    /// Octets of all headers before the payload. A hint: what the kernel writes here is not to be relied on.
    public var headerLength: UInt16
    /// Payload octets per segment.
    public var gsoSize: UInt16
    /// Where the checksum begins to cover, from the packet's first octet.
    public var checksumStart: UInt16
    /// Where the field lies, from `checksumStart`.
    public var checksumOffset: UInt16

    /// An ordinary packet, complete in every respect.
    @inlinable @inline(__always)
    public init() {
        flags = []
        gsoType = .none
        headerLength = 0
        gsoSize = 0
        checksumStart = 0
        checksumOffset = 0
    }

    @inlinable @inline(__always)
    public init(parsing bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        flags = Flags(rawValue: bytes.octet(at: 0))
        gsoType = GSOType(rawValue: bytes.octet(at: 1))
        headerLength = bytes.native(UInt16.self, at: 2)
        gsoSize = bytes.native(UInt16.self, at: 4)
        checksumStart = bytes.native(UInt16.self, at: 6)
        checksumOffset = bytes.native(UInt16.self, at: 8)
    }

    /// Octets that a packet must have for its pending checksum, if one is pending.
    @inlinable @inline(__always)
    public var pendingChecksumEnd: Int {
        flags.contains(.needsChecksum) ? Int(checksumStart) &+ Int(checksumOffset) &+ 2 : 0
    }

    /// Writes the header into the first `size` octets, which must be there.
    @inlinable @inline(__always)
    public func write(into bytes: inout MutableRawSpan) {
        bytes.store(flags.rawValue, at: 0)
        bytes.store(gsoType.rawValue, at: 1)
        bytes.storeNative(headerLength, at: 2)
        bytes.storeNative(gsoSize, at: 4)
        bytes.storeNative(checksumStart, at: 6)
        bytes.storeNative(checksumOffset, at: 8)
    }
}
