/// What a tun device opened with IFF_VNET_HDR puts before every packet: pending checksum and segmentation
/// (virtio 1.2, section 5.1.6). Numbers are in this machine's order.
package struct VirtioNetHeader: Sendable, BitwiseCopyable {
    /// What is said about the checksum.
    package struct Flags: OptionSet, Sendable, BitwiseCopyable {
        package let rawValue: UInt8
        @inline(__always)
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The field at `checksumStart + checksumOffset` holds the pseudo-header's sum; the rest is still to be added.
        package static var needsChecksum: Flags { Flags(rawValue: 1) }
        /// Somebody verified the checksum already.
        package static var dataValid: Flags { Flags(rawValue: 2) }
    }

    /// The kind of super-packet, perhaps with `ecn` set.
    package struct GSOType: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
        package let rawValue: UInt8
        @inline(__always)
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static var none: GSOType { GSOType(rawValue: 0) }
        package static var tcp4: GSOType { GSOType(rawValue: 1) }
        /// UDP to be cut by IP fragmentation. No offload that we ask for produces it.
        package static var udp: GSOType { GSOType(rawValue: 3) }
        package static var tcp6: GSOType { GSOType(rawValue: 4) }
        /// UDP to be cut into datagrams, from Linux 6.2.
        package static var udpL4: GSOType { GSOType(rawValue: 5) }
        /// The bit beside a TCP type: CWR belongs to the first segment only.
        package static var ecn: UInt8 { 0x80 }
        /// The kind without the ECN bit.
        package var kind: GSOType { GSOType(rawValue: rawValue & ~Self.ecn) }
    }

    /// Octets that the header takes.
    package static var size: Int { 10 }

    package var flags: Flags
    package var gsoType: GSOType
    /// Octets of all headers before the payload. A hint: what the kernel writes here is not to be relied on.
    package var headerLength: UInt16
    /// Payload octets per segment.
    package var gsoSize: UInt16
    /// Where the checksum begins to cover, from the packet's first octet.
    package var checksumStart: UInt16
    /// Where the field lies, from `checksumStart`.
    package var checksumOffset: UInt16

    /// An ordinary packet, complete in every respect.
    @inline(__always)
    package init() {
        flags = []
        gsoType = .none
        headerLength = 0
        gsoSize = 0
        checksumStart = 0
        checksumOffset = 0
    }

    @inline(__always)
    package init(parsing bytes: RawSpan) throws(ParseError) {
        guard bytes.byteCount >= Self.size else { throw .truncated }
        flags = Flags(rawValue: bytes.octet(at: 0))
        gsoType = GSOType(rawValue: bytes.octet(at: 1))
        headerLength = bytes.native(UInt16.self, at: 2)
        gsoSize = bytes.native(UInt16.self, at: 4)
        checksumStart = bytes.native(UInt16.self, at: 6)
        checksumOffset = bytes.native(UInt16.self, at: 8)
    }

    /// Writes the header into the first `size` octets, which must be there.
    @inline(__always)
    package func write(into bytes: inout MutableRawSpan) {
        bytes.store(flags.rawValue, at: 0)
        bytes.store(gsoType.rawValue, at: 1)
        bytes.storeNative(headerLength, at: 2)
        bytes.storeNative(gsoSize, at: 4)
        bytes.storeNative(checksumStart, at: 6)
        bytes.storeNative(checksumOffset, at: 8)
    }
}
