package import PacketParse

/// What comes from the tailnet.
extension NAT {
    /// Decides about a packet from the tailnet and gives it the exit address.
    ///
    /// - Parameters:
    ///   - wireLength: of the packet, or of a super-packet's segments.
    ///   - hash: of its outbound key, computed when the batch was prefetched.
    @inline(always)
    package mutating func egress(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, wireLength: Int, hash: UInt64,
        checksum: PendingChecksum, now: UInt32, _ statistics: inout Statistics
    ) throws(DropReason) -> Passage {
        let key = FlowKey.outbound(summary)
        let exit = exit(isV4: summary.isV4)
        guard summary.isOrdinary, summary.namesFlow(.egress), summary.hopLimit > 1, wireLength <= outside.mtu,
            exit != .unspecified, summary.destination != exit, let slot = flows.findInside(key, hash)
        else { return try unusualEgress(&packet, summary, wireLength, key, hash, checksum, now, &statistics) }
        leave(slot, &packet, summary, exit, checksum, now)
        return .whole
    }

    /// Counts a packet of a flow and rewrites it.
    @inline(always)
    private mutating func leave(
        _ slot: Int, _ packet: inout MutableRawSpan, _ summary: PacketSummary, _ exit: IPAddress,
        _ checksum: PendingChecksum, _ now: UInt32
    ) {
        // Read before the counters are written: a wide load right behind narrow stores makes the processor wait.
        let rewrite = Rewrite.egress(flows[slot], exit: exit)
        let before = flows[slot].state
        flows[slot].recordEgress(bytes: summary.totalLength, flags: summary.tcpFlags, now: now)
        if flows[slot].state != before { flows.reschedule(slot) }
        rewrite.apply(to: &packet, summary, checksum: checksum)
    }

    /// What is not the next ordinary packet of a known flow: a beginning, a fragment, an ICMP error, what does not fit, what
    /// is for another client, and what is refused.
    @inline(never)
    private mutating func unusualEgress(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, _ wireLength: Int, _ key: FlowKey, _ hash: UInt64,
        _ checksum: PendingChecksum, _ now: UInt32, _ statistics: inout Statistics
    ) throws(DropReason) -> Passage {
        let isV4 = summary.isV4
        let exit = exit(isV4: isV4)
        let node = inside.address(isV4: isV4)
        guard summary.source.isForwardable, summary.destination.isForwardable else {
            throw .refused(.unforwardableAddress)
        }
        // Nobody speaks to himself through a router, our own addresses are nobody else's, and what is for the node itself
        // would not have come here.
        guard summary.source != exit, summary.source != node, summary.destination != node,
            summary.source != summary.destination
        else { throw .refused(.unforwardableAddress) }
        guard exit != .unspecified else { throw .refused(.noExitAddress) }
        let passage =
            summary.destination == exit
            ? try judgeHairpin(packet.bytes, summary, wireLength)
            : try judge(packet.bytes, summary, wireLength: wireLength, mtu: outside.mtu)
        if summary.isICMPError {
            let quote = try quote(in: packet.bytes, summary, of: .ingress)
            let quotedKey = FlowKey.inbound(quote)
            guard let slot = flows.findInside(quotedKey, flows.hash(quotedKey)) else { throw .refused(.noFlow) }
            Rewrite.egress(flows[slot], exit: exit).apply(toErrorIn: &packet, summary, quote: quote)
            return passage
        }
        let slot = try slot(leaving: summary, key, hash, exit, now, &statistics)
        if summary.announcesSegmentSize {
            packet.clampSegmentSize(summary, mtu: outside.mtu, checksum: checksum)
        }
        leave(slot, &packet, summary, exit, checksum, now)
        return passage
    }

    /// A packet from one client to another's port of ours (RFC 4787 REQ-9, RFC 5382 REQ-8). It is two hops from here, and
    /// is judged for both at once: the second time it would no longer be what its sender could recognise. A port that
    /// nobody borrows belongs to the host, which is not reached this way.
    private func judgeHairpin(
        _ packet: RawSpan, _ summary: PacketSummary, _ wireLength: Int
    ) throws(DropReason) -> Passage {
        guard
            summary.fragment == .later || summary.isICMPError
                || bindings.isLent(summary.transport, port: summary.destinationPort)
        else { throw .refused(.unforwardableAddress) }
        guard try judge(packet, summary, wireLength: wireLength, mtu: inside.mtu, hops: 2) == .whole else {
            throw .refused(.packetTooBig)
        }
        return .back
    }

    /// The flow of a packet from the tailnet that is no ICMP error: known, or begun by it.
    private mutating func slot(
        leaving summary: PacketSummary, _ key: FlowKey, _ hash: UInt64, _ exit: IPAddress, _ now: UInt32,
        _ statistics: inout Statistics
    ) throws(DropReason) -> Int {
        if summary.fragment == .later {
            let slot = try slot(ofLaterFragment: summary, now)
            guard flows[slot].client == summary.source else { throw .refused(.unknownFragment) }
            return slot
        }
        guard summary.namesFlow(.egress) else { throw .refused(.unsupportedTransport) }
        let slot: Int
        if let known = flows.findInside(key, hash) {
            slot = known
        } else {
            slot = try open(summary, key, hash, exit, now, &statistics)
        }
        if summary.fragment == .first { record(firstFragment: summary, slot, now) }
        return slot
    }
}
