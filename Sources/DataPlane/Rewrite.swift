import PacketParse

/// The change of address that one direction of a flow makes to each of its packets.
///
/// It touches the headers and no octet of a payload: checksums are updated by what the change adds to them (RFC 1624).
package struct Rewrite: BitwiseCopyable, Sendable {
    /// Which end of the packet is changed: its source on the way out, its destination on the way in.
    package enum End: Sendable, BitwiseCopyable {
        case source, destination

        var opposite: End { self == .source ? .destination : .source }
    }

    let end: End
    let address: IPAddress
    let port: UInt16
    let addressDelta: ChecksumDelta
    let fullDelta: ChecksumDelta

    /// A client's packet leaves with the exit address.
    @inline(always) static func egress(_ flow: borrowing Flow, exit: IPAddress) -> Rewrite {
        Rewrite(
            end: .source, address: exit, port: flow.outsidePort, addressDelta: flow.addressDelta,
            fullDelta: flow.fullDelta)
    }

    /// An answer finds the client.
    @inline(always) static func ingress(_ flow: borrowing Flow) -> Rewrite {
        Rewrite(
            end: .destination, address: flow.client, port: flow.clientPort, addressDelta: flow.addressDelta.inverse,
            fullDelta: flow.fullDelta.inverse)
    }

    // MARK: A packet of the flow

    /// Rewrites a packet, or a first fragment, and counts the hop.
    ///
    /// - Parameter checksum: whether the transport checksum is complete or still misses all but its pseudo-header.
    @inline(always)
    func apply(to packet: inout MutableRawSpan, _ summary: PacketSummary, checksum: PendingChecksum) {
        rewriteNetwork(&packet, summary, addressDelta)
        guard summary.fragment != .later else { return }
        let transport = summary.transportOffset
        switch summary.transport {
        case .tcp:
            packet.store(port, at: transport + Self.portOffset(end))
            updateChecksum(&packet, at: transport + TCPHeader.Field.checksum, checksum)
        case .udp:
            packet.store(port, at: transport + Self.portOffset(end))
            let field = transport + UDPHeader.Field.checksum
            switch checksum {
            case .partial: updateChecksum(&packet, at: field, .partial)
            case .complete: packet.store(fullDelta.applied(toUDP: packet.bytes.word16(at: field)), at: field)
            }
        case .icmp:
            // No pseudo-header: the identifier alone counts, and that is what the address did not add.
            let field = transport + ICMPHeader.Field.checksum
            var identifier = ChecksumDelta()
            identifier.replace(packet.bytes.word16(at: transport + ICMPHeader.Field.identifier), with: port)
            packet.store(identifier.applied(toComplete: packet.bytes.word16(at: field)), at: field)
            packet.store(port, at: transport + ICMPHeader.Field.identifier)
        case .icmpv6:
            packet.store(port, at: transport + ICMPHeader.Field.identifier)
            updateChecksum(&packet, at: transport + ICMPHeader.Field.checksum, checksum)
        case .other: break
        }
    }

    @inline(always)
    private func updateChecksum(_ packet: inout MutableRawSpan, at offset: Int, _ pending: PendingChecksum) {
        let field = packet.bytes.word16(at: offset)
        switch pending {
        case .complete: packet.store(fullDelta.applied(toComplete: field), at: offset)
        case .partial: packet.store(addressDelta.applied(toPartial: field), at: offset)
        }
    }

    /// The address, the hop, and IPv4's own checksum.
    @inline(always)
    private func rewriteNetwork(_ packet: inout MutableRawSpan, _ summary: PacketSummary, _ change: ChecksumDelta) {
        packet.store(address, at: Self.addressOffset(end, summary.isV4))
        let hops = summary.hopLimit &- 1
        guard summary.isV4 else {
            packet.store(hops, at: IPv6Header.Field.hopLimit)
            return
        }
        packet.store(hops, at: IPv4Header.Field.timeToLive)
        var delta = change
        // The time to live is the upper octet of its word.
        delta.replace(UInt16(summary.hopLimit) << 8, with: UInt16(hops) << 8)
        let field = IPv4Header.Field.headerChecksum
        packet.store(delta.applied(toComplete: packet.bytes.word16(at: field)), at: field)
    }

    @inline(always) private static func addressOffset(_ end: End, _ isV4: Bool) -> Int {
        switch end {
        case .source: isV4 ? IPv4Header.Field.source : IPv6Header.Field.source
        case .destination: isV4 ? IPv4Header.Field.destination : IPv6Header.Field.destination
        }
    }

    /// TCP's and UDP's alike.
    @inline(always) private static func portOffset(_ end: End) -> Int {
        end == .source ? TCPHeader.Field.sourcePort : TCPHeader.Field.destinationPort
    }

    // MARK: An ICMP error about a packet of the flow

    /// Rewrites an ICMP error: its own address, and within its quote the opposite end of the packet that the receiver sent
    /// (RFC 5508 section 4.2). The quote is restored as far as it reaches, its checksums included.
    func apply(toErrorIn packet: inout MutableRawSpan, _ summary: PacketSummary, quote: PacketSummary) {
        // An error may come from a router on the way, whose address is not the flow's.
        var ownChange = ChecksumDelta()
        ownChange.replace(end == .source ? summary.source : summary.destination, with: address)
        rewriteNetwork(&packet, summary, ownChange)
        let quoteStart = summary.quoteOffset
        let quotedAddress = quoteStart + Self.addressOffset(end.opposite, quote.isV4)
        packet.store(address, at: quotedAddress)
        var change = addressDelta
        if quote.isV4 {
            let field = quoteStart + IPv4Header.Field.headerChecksum
            let old = packet.bytes.word16(at: field)
            let new = addressDelta.applied(toComplete: old)
            packet.store(new, at: field)
            change.replace(old, with: new)
        } else {
            // The error's own pseudo-header holds the address that `rewriteNetwork` changed.
            change.raw = InternetChecksum.fold(UInt64(change.raw) + UInt64(ownChange.raw))
        }
        if quote.fragment != .later {
            rewriteQuotedTransport(
                &packet, at: quoteStart + quote.transportOffset, upTo: Self.quoteEnd(packet.bytes, summary, quote),
                quote.transport, &change)
        }
        let field = summary.transportOffset + ICMPHeader.Field.checksum
        packet.store(change.applied(toComplete: packet.bytes.word16(at: field)), at: field)
    }

    /// Where the quote's own octets end: behind them may be padding and extensions (RFC 4884), which are nobody's but the
    /// receiver's (RFC 5508 REQ-3).
    private static func quoteEnd(_ packet: RawSpan, _ summary: PacketSummary, _ quote: PacketSummary) -> Int {
        let start = summary.quoteOffset
        let end = min(packet.byteCount, start + quote.totalLength)
        let told: Int
        switch (summary.transport, summary.icmpType) {
        case (.icmp, 3), (.icmp, 11), (.icmp, 12): told = Int(packet.octet(at: summary.transportOffset + 5)) * 4
        case (.icmpv6, 1), (.icmpv6, 3): told = Int(packet.octet(at: summary.transportOffset + 4)) * 8
        default: told = 0
        }
        return told == 0 ? end : min(end, start + told)
    }

    private func rewriteQuotedTransport(
        _ packet: inout MutableRawSpan, at start: Int, upTo quoteEnd: Int, _ transport: Transport,
        _ change: inout ChecksumDelta
    ) {
        let (portOffset, checksumOffset): (Int, Int)
        switch transport {
        case .tcp: (portOffset, checksumOffset) = (Self.portOffset(end.opposite), TCPHeader.Field.checksum)
        case .udp: (portOffset, checksumOffset) = (Self.portOffset(end.opposite), UDPHeader.Field.checksum)
        case .icmp, .icmpv6: (portOffset, checksumOffset) = (ICMPHeader.Field.identifier, ICMPHeader.Field.checksum)
        case .other: return
        }
        let portField = start + portOffset
        let checksumField = start + checksumOffset
        let oldPort = packet.bytes.word16(at: portField)
        packet.store(port, at: portField)
        change.replace(oldPort, with: port)
        guard checksumField + 2 <= quoteEnd else { return }
        let old = packet.bytes.word16(at: checksumField)
        let new: UInt16
        switch transport {
        case .udp: new = fullDelta.applied(toUDP: old)
        case .icmp:
            var identifier = ChecksumDelta()
            identifier.replace(oldPort, with: port)
            new = identifier.applied(toComplete: old)
        default: new = fullDelta.applied(toComplete: old)
        }
        packet.store(new, at: checksumField)
        change.replace(old, with: new)
    }
}

/// What a transport checksum field holds.
package enum PendingChecksum: Sendable, BitwiseCopyable {
    /// The checksum itself.
    case complete
    /// The pseudo-header's sum, not complemented; whoever sends the packet adds the rest (virtio's NEEDS_CSUM).
    case partial
}
