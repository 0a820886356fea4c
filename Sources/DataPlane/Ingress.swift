package import PacketParse

/// What comes from the VPN.
extension NAT {
    /// Decides about a packet from the VPN and gives it the client's address.
    ///
    /// - Parameters:
    ///   - wireLength: of the packet, or of a super-packet's segments.
    ///   - hash: of its inbound key, computed when the batch was prefetched.
    @inline(always)
    package mutating func ingress(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, wireLength: Int, hash: UInt64,
        checksum: PendingChecksum, now: UInt32
    ) throws(DropReason) -> Passage {
        guard summary.isOrdinary, summary.namesFlow(.ingress), summary.hopLimit > 1, wireLength <= inside.mtu,
            summary.destination == exit(isV4: summary.isV4),
            let slot = flows.findOutside(FlowKey.inbound(summary), hash)
        else { return try unusualIngress(&packet, summary, wireLength, hash, checksum, now) }
        arrive(slot, &packet, summary, checksum, now)
        return .whole
    }

    /// Counts a packet of a flow and rewrites it.
    @inline(always)
    private mutating func arrive(
        _ slot: Int, _ packet: inout MutableRawSpan, _ summary: PacketSummary, _ checksum: PendingChecksum,
        _ now: UInt32
    ) {
        let rewrite = Rewrite.ingress(flows[slot])
        let before = flows[slot].state
        flows[slot].recordIngress(bytes: summary.totalLength, flags: summary.tcpFlags, now: now)
        if flows[slot].state != before { flows.reschedule(slot) }
        rewrite.apply(to: &packet, summary, checksum: checksum)
    }

    /// First the flow, then hops and length: a stranger learns nothing.
    @inline(never)
    private mutating func unusualIngress(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, _ wireLength: Int, _ hash: UInt64,
        _ checksum: PendingChecksum, _ now: UInt32
    ) throws(DropReason) -> Passage {
        let exit = exit(isV4: summary.isV4)
        guard exit != .unspecified, summary.destination == exit else { throw .refused(.noFlow) }
        if summary.isICMPError {
            // The one kind of packet whose source no flow vouches for.
            guard summary.source.isForwardable else { throw .refused(.unforwardableAddress) }
            let quote = try quote(in: packet.bytes, summary, of: .egress)
            let quotedKey = FlowKey.outbound(quote)
            guard quote.source == exit, let slot = flows.findOutside(quotedKey, flows.hash(quotedKey)) else {
                throw .refused(.noFlow)
            }
            let passage = try judge(packet.bytes, summary, wireLength: wireLength, mtu: inside.mtu)
            Rewrite.ingress(flows[slot]).apply(toErrorIn: &packet, summary, quote: quote)
            return passage
        }
        let slot = try slot(arriving: summary, hash, now)
        let passage = try judge(packet.bytes, summary, wireLength: wireLength, mtu: inside.mtu)
        if summary.fragment == .first { record(firstFragment: summary, slot, now) }
        if summary.announcesSegmentSize {
            packet.clampSegmentSize(summary, mtu: outside.mtu, checksum: checksum)
        }
        arrive(slot, &packet, summary, checksum, now)
        return passage
    }

    /// The flow of a packet from the VPN that is no ICMP error.
    private func slot(arriving summary: PacketSummary, _ hash: UInt64, _ now: UInt32) throws(DropReason) -> Int {
        if summary.fragment == .later {
            let slot = try slot(ofLaterFragment: summary, now)
            guard flows[slot].remote == summary.source else { throw .refused(.unknownFragment) }
            return slot
        }
        guard summary.namesFlow(.ingress), let slot = flows.findOutside(FlowKey.inbound(summary), hash) else {
            throw .refused(.noFlow)
        }
        return slot
    }
}
