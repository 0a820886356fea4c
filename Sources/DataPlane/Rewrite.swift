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
            updateChecksum(&packet, at: transport + 16, checksum)
        case .udp:
            packet.store(port, at: transport + Self.portOffset(end))
            switch checksum {
            case .partial: updateChecksum(&packet, at: transport + 6, .partial)
            case .complete:
                let field = packet.bytes.word16(at: transport + 6)
                packet.store(fullDelta.applied(toUDP: field), at: transport + 6)
            }
        case .icmp:
            // No pseudo-header: the identifier alone counts, and that is what the address did not add.
            let field = packet.bytes.word16(at: transport + 2)
            var identifier = ChecksumDelta()
            identifier.replace(packet.bytes.word16(at: transport + 4), with: port)
            packet.store(identifier.applied(toComplete: field), at: transport + 2)
            packet.store(port, at: transport + 4)
        case .icmpv6:
            packet.store(port, at: transport + 4)
            updateChecksum(&packet, at: transport + 2, checksum)
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
            packet.store(hops, at: 7)
            return
        }
        packet.store(hops, at: 8)
        var delta = change
        // The time to live is the upper octet of its word.
        delta.replace(UInt16(summary.hopLimit) << 8, with: UInt16(hops) << 8)
        packet.store(delta.applied(toComplete: packet.bytes.word16(at: 10)), at: 10)
    }

    @inline(always) private static func addressOffset(_ end: End, _ isV4: Bool) -> Int {
        switch end {
        case .source: isV4 ? 12 : 8
        case .destination: isV4 ? 16 : 24
        }
    }

    @inline(always) private static func portOffset(_ end: End) -> Int { end == .source ? 0 : 2 }

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
            let old = packet.bytes.word16(at: quoteStart + 10)
            let new = addressDelta.applied(toComplete: old)
            packet.store(new, at: quoteStart + 10)
            change.replace(old, with: new)
        } else {
            // The error's own pseudo-header holds the address that `rewriteNetwork` changed.
            change.raw = InternetChecksum.fold(UInt64(change.raw) + UInt64(ownChange.raw))
        }
        if quote.fragment != .later {
            rewriteQuotedTransport(&packet, at: quoteStart + quote.transportOffset, quote.transport, &change)
        }
        let field = summary.transportOffset + 2
        packet.store(change.applied(toComplete: packet.bytes.word16(at: field)), at: field)
    }

    private func rewriteQuotedTransport(
        _ packet: inout MutableRawSpan, at start: Int, _ transport: Transport, _ change: inout ChecksumDelta
    ) {
        let portField: Int
        let checksumField: Int
        switch transport {
        case .tcp: (portField, checksumField) = (start + Self.portOffset(end.opposite), start + 16)
        case .udp: (portField, checksumField) = (start + Self.portOffset(end.opposite), start + 6)
        case .icmp, .icmpv6: (portField, checksumField) = (start + 4, start + 2)
        case .other: return
        }
        let oldPort = packet.bytes.word16(at: portField)
        packet.store(port, at: portField)
        change.replace(oldPort, with: port)
        guard checksumField + 2 <= packet.byteCount else { return }
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
