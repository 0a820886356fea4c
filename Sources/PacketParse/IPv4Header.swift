/// An IPv4 header over octets that were checked once (RFC 791).
///
/// What exists has a header of at least 20 octets, all of them inside the span, and a total length that covers it.
public struct IPv4Header: ~Escapable {
    private let bytes: RawSpan

    /// Where fields lie, in octets.
    public enum Field {
        public static var typeOfService: Int { 1 }
        public static var totalLength: Int { 2 }
        public static var identification: Int { 4 }
        public static var timeToLive: Int { 8 }
        public static var headerChecksum: Int { 10 }
        public static var source: Int { 12 }
        public static var destination: Int { 16 }
    }

    /// `bytes` begin with the header and are not empty.
    @inline(__always) @_lifetime(copy bytes)
    init(_ bytes: RawSpan) throws(ParseError) {
        let length = Int(bytes.octet(at: 0) & 0xf) &* 4
        guard length >= 20 else { throw .badHeaderLength }
        guard length <= bytes.byteCount else { throw .truncated }
        guard Int(bytes.word16(at: Field.totalLength)) >= length else { throw .badTotalLength }
        self.bytes = bytes
    }

    var headerLength: Int { Int(bytes.octet(at: 0) & 0xf) &* 4 }
    var totalLength: Int { Int(bytes.word16(at: Field.totalLength)) }
    var identification: UInt16 { bytes.word16(at: Field.identification) }
    var isFragment: Bool { bytes.word16(at: 6) & 0x3fff != 0 }
    var moreFragments: Bool { bytes.octet(at: 6) & 0x20 != 0 }
    /// In octets.
    var fragmentOffset: Int { Int(bytes.word16(at: 6) & 0x1fff) &* 8 }
    var timeToLive: UInt8 { bytes.octet(at: Field.timeToLive) }
    var protocolNumber: UInt8 { bytes.octet(at: 9) }
    var source: IPAddress { IPAddress(v4: bytes.word32(at: Field.source)) }
    var destination: IPAddress { IPAddress(v4: bytes.word32(at: Field.destination)) }

    /// The header, its checksum included, sums to all ones.
    @inline(__always)
    var checksumHolds: Bool {
        // The order of octets does not matter for all ones, so words are summed as this machine loads them.
        var sum = InternetChecksum.adding(bytes.native(UInt64.self, at: 0), bytes.native(UInt64.self, at: 8))
        sum = InternetChecksum.adding(sum, UInt64(bytes.native(UInt32.self, at: 16)))
        var offset = 20
        while offset < headerLength {
            sum = InternetChecksum.adding(sum, UInt64(bytes.native(UInt32.self, at: offset)))
            offset &+= 4
        }
        return InternetChecksum.fold(sum) == 0xffff
    }
}
