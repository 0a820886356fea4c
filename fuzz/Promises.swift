// What PacketParse promises about whatever it accepts.

/// What is parsed is written back octet by octet.
func checkVirtioNetHeader(_ octets: [UInt8]) {
    guard let header = try? VirtioNetHeader(parsing: octets.raw) else {
        precondition(octets.count < VirtioNetHeader.size)
        return
    }
    var written = [UInt8](repeating: 0, count: VirtioNetHeader.size)
    var span = written.mutableSpan
    var bytes = unsafe span.mutableBytes
    header.write(into: &bytes)
    precondition(written == Array(octets.prefix(VirtioNetHeader.size)))
}

/// The fast sum is the slow sum, in one piece or in two.
func checkChecksum(_ octets: [UInt8]) {
    let sum = InternetChecksum.fold(InternetChecksum.sum(octets.raw))
    precondition(sum == naiveSum(octets))
    let middle = octets.count / 4 * 2
    let head = InternetChecksum.sum(octets.raw.extracting(first: middle))
    precondition(
        InternetChecksum.fold(InternetChecksum.sum(octets.raw.extracting(droppingFirst: middle), from: head)) == sum)
}

/// A quote that is understood has its transport's first eight octets.
func checkQuote(_ octets: [UInt8]) {
    guard case .success(let packet) = quote(in: octets.raw) else { return }
    let hasTransport = packet.fragment != .later && packet.transport != .other
    precondition(packet.transportOffset + (hasTransport ? 8 : 0) <= octets.count)
    precondition(packet.tcpFlags == [])
}

/// A TCP header is there as a whole; an MSS option lies between its fixed part and the data.
func checkTCPHeader(_ octets: [UInt8]) {
    guard let header = try? TCPHeader(parsing: octets.raw) else { return }
    precondition(header.dataOffset >= TCPHeader.size && header.dataOffset <= octets.count)
    guard let option = header.maximumSegmentSize else { return }
    precondition(option.offset >= TCPHeader.size + 2 && option.offset + 2 <= header.dataOffset)
    precondition(octets.raw.word16(at: option.offset) == option.value)
}

/// The shorter headers are there as a whole or not at all.
func checkShortHeaders(_ octets: [UInt8]) {
    if let header = try? UDPHeader(parsing: octets.raw) {
        precondition(header.length == Int(octets.raw.word16(at: 4)))
    }
    if let header = try? ICMPHeader(parsing: octets.raw) {
        precondition(header.identifier == octets.raw.word16(at: 4))
    }
}

/// A summary's offsets lie inside the packet, and the same packet always means the same.
func checkPacket(_ packet: PacketSummary, _ octets: [UInt8]) {
    precondition(packet.transportOffset <= packet.totalLength && packet.totalLength <= octets.count)
    precondition(packet.isV4 == (octets[0] >> 4 == 4) && packet.destination.isV4 == packet.isV4)

    // Padding means nothing, a missing octet is noticed.
    precondition(summary(of: Array(octets.prefix(packet.totalLength))) == .success(packet))
    precondition(summary(of: Array(octets.prefix(packet.totalLength - 1))) == .failure(.truncated))

    // Quoted as a whole it has the same key; both directions have one key.
    guard case .success(let quoted) = quote(in: octets.raw) else { preconditionFailure("not quotable") }
    let key = FlowKey.outbound(packet)
    let seed = HashSeed(first: 0x0123_4567_89ab_cdef, second: 0xfedc_ba98_7654_3211)
    precondition(FlowKey.outbound(quoted) == key && FlowKey.outbound(quoted).hash(seed: seed) == key.hash(seed: seed))
    let back = FlowKey.inbound(packet)
    precondition(back.local == key.remote && back.remotePort == key.localPort && back.transport == key.transport)

    if packet.isICMPError {
        precondition(packet.quoteOffset <= packet.totalLength)
        checkQuote(Array(octets[packet.quoteOffset..<packet.totalLength]))
    }
    if packet.transport == .tcp, packet.fragment == .none {
        checkTCPHeader(Array(octets[packet.transportOffset..<packet.totalLength]))
    }
    if !packet.isV4 { checkExtensions(packet, octets) }
    checkRewrite(packet, octets)
}

/// Between the IPv6 header and the transport are at most eight extension headers, without a gap.
func checkExtensions(_ packet: PacketSummary, _ octets: [UInt8]) {
    var next = octets[6]
    var offset = IPv6Header.size
    var count = 0
    while offset < packet.transportOffset {
        let length = Int(octets[offset + 1])
        let size =
            switch next {
            case ProtocolNumber.fragment: 8
            case ProtocolNumber.authentication: (length + 2) * 4
            default: (length + 1) * 8
            }
        next = octets[offset]
        offset += size
        count += 1
    }
    precondition(count <= 8 && offset == packet.transportOffset && next == packet.protocolNumber)
}

/// A packet rewritten as a NAT does it has the checksums that one would compute, and says what was written.
func checkRewrite(_ packet: PacketSummary, _ octets: [UInt8]) {
    let source = packet.isV4 ? IPAddress(v4: 0x0a40_0002) : IPAddress(bits: 0xfd00 << 112 | 2)
    let sourceOffset = packet.isV4 ? IPv4Header.Field.source : IPv6Header.Field.source
    let port: UInt16 = 0xbeef
    var addresses = ChecksumDelta()
    addresses.replace(packet.source, with: source)
    var everything = addresses
    everything.replace(packet.sourcePort, with: port)

    var rewritten = octets
    for place in 0..<(packet.isV4 ? 4 : 16) {
        rewritten[sourceOffset + place] = UInt8(
            truncatingIfNeeded: source.bits >> UInt128(8 * ((packet.isV4 ? 3 : 15) - place)))
    }
    if packet.isV4 {
        let field = IPv4Header.Field.headerChecksum
        rewritten.store(addresses.applied(toComplete: octets.raw.word16(at: field)), at: field)
        precondition(naiveSum(rewritten[..<packet.transportOffset]) == 0xffff)
    }
    if packet.fragment == .none, packet.transport == .tcp || packet.transport == .udp {
        let field =
            packet.transportOffset + (packet.transport == .tcp ? TCPHeader.Field.checksum : UDPHeader.Field.checksum)
        // Whatever the checksum was, begin with the right one.
        var before = octets
        before.store(0, at: field)
        let complete = ~naiveSum(
            before[packet.transportOffset..<packet.totalLength], from: pseudo(packet, packet.source))
        rewritten.store(0, at: field)
        rewritten.store(port, at: packet.transportOffset)
        let expected = ~naiveSum(rewritten[packet.transportOffset..<packet.totalLength], from: pseudo(packet, source))
        precondition(everything.applied(toComplete: complete) == expected)
        precondition(everything.inverse.applied(toComplete: expected) == complete)
        precondition(addresses.applied(toPartial: pseudo(packet, packet.source)) == pseudo(packet, source))
        rewritten.store(expected, at: field)
    }
    guard case .success(let after) = summary(of: rewritten) else { preconditionFailure("rewriting broke the packet") }
    precondition(after.source == source && after.destination == packet.destination)
    precondition(after.totalLength == packet.totalLength && after.transportOffset == packet.transportOffset)
}

/// The pseudo-header's sum, octet by octet.
func pseudo(_ packet: PacketSummary, _ source: IPAddress) -> UInt16 {
    let length = packet.totalLength - packet.transportOffset
    var octets = [source, packet.destination].flatMap { address in
        (0..<16).map { UInt8(truncatingIfNeeded: address.bits >> UInt128(8 * (15 - $0))) }
    }
    octets += [0, packet.protocolNumber, UInt8(length >> 8), UInt8(length & 0xff)]
    return naiveSum(octets)
}
