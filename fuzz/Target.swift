// The fuzzer's door. It is compiled into one module with Sources/PacketParse, so there is nothing to import.
//
// Whatever the octets are, nothing may trap; whatever is accepted must keep the promises that `Promises.swift` lists. A
// broken one is a failed precondition, which libFuzzer reports like a crash.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafeRawPointer?, _ count: Int) -> CInt {
    let octets = unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    checkVirtioNetHeader(octets)
    checkChecksum(octets)
    checkQuote(octets)
    checkTCPHeader(octets)
    checkShortHeaders(octets)
    // No mutation finds a right IPv4 checksum by chance: put it right, so that the rest of the parser is reached.
    switch summary(of: octets) {
    case .success(let packet): checkPacket(packet, octets)
    case .failure(.badHeaderChecksum):
        let sealed = sealed(octets)
        switch summary(of: sealed) {
        case .success(let packet): checkPacket(packet, sealed)
        case .failure(let error): precondition(error != .badHeaderChecksum)
        }
    case .failure: break
    }
    return 0
}

func summary(of octets: [UInt8]) -> Result<PacketSummary, ParseError> {
    do throws(ParseError) { return .success(try PacketSummary(parsing: octets.raw)) } catch { return .failure(error) }
}

func quote(in octets: RawSpan) -> Result<PacketSummary, ParseError> {
    do throws(ParseError) { return .success(try PacketSummary(quoted: octets)) } catch { return .failure(error) }
}

/// The same IPv4 packet with the header checksum that belongs to it.
func sealed(_ octets: [UInt8]) -> [UInt8] {
    var sealed = octets
    sealed.store(0, at: IPv4Header.Field.headerChecksum)
    sealed.store(~naiveSum(sealed[..<(Int(octets[0] & 0xf) * 4)]), at: IPv4Header.Field.headerChecksum)
    return sealed
}

/// RFC 1071, word by word: the oracle.
func naiveSum(_ octets: some Collection<UInt8>, from start: UInt16 = 0) -> UInt16 {
    var sum = UInt32(start)
    var isHigh = true
    for octet in octets {
        sum += isHigh ? UInt32(octet) << 8 : UInt32(octet)
        sum = (sum & 0xffff) + sum >> 16
        isHigh.toggle()
    }
    return UInt16(sum)
}

extension [UInt8] {
    var raw: RawSpan {
        @_lifetime(borrow self) get { unsafe span.bytes }
    }

    mutating func store(_ word: UInt16, at offset: Int) {
        self[offset] = UInt8(word >> 8)
        self[offset + 1] = UInt8(word & 0xff)
    }
}
