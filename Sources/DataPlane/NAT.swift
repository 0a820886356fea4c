package import PacketParse

/// What is to become of a packet that was rewritten.
package enum Passage: Sendable, BitwiseCopyable {
    /// It leaves by the other side as it is.
    case whole
    /// It leaves by the other side, which takes it in fragments only.
    case inFragments
    /// It is for another client: it comes back as if from outside.
    case back
}

/// Decides about a packet and rewrites it: which flow it belongs to, whether a new one may begin, whose address it bears.
///
/// A NAT44 and NAT66 with the manners of RFC 4787, 5382 and 5508: what comes from outside passes only if the tailnet
/// opened that very flow (address- and port-dependent filtering). A packet that is refused has not been touched, so that
/// an ICMP error can quote it.
package struct NAT: ~Copyable, Sendable {
    package private(set) var flows: FlowTable
    package private(set) var bindings: Bindings
    private var fragments: FragmentTable
    private var inside: Interface
    private var outside: Interface
    /// The exit addresses that the flows were opened with.
    private var flowsV4: IPAddress?
    private var flowsV6: IPAddress?
    package private(set) var flowsFlushed: UInt64 = 0

    /// - Parameters:
    ///   - inside: the node on the tailnet.
    ///   - outside: the node on the VPN; its addresses stand for the whole tailnet.
    package init(
        flows: consuming FlowTable, bindings: consuming Bindings, fragments: consuming FragmentTable,
        inside: Interface, outside: Interface
    ) {
        self.flows = flows
        self.bindings = bindings
        self.fragments = fragments
        self.inside = inside
        self.outside = outside
        (flowsV4, flowsV6) = (outside.v4, outside.v6)
    }

    @inline(always) private func exit(isV4: Bool) -> IPAddress { outside.address(isV4: isV4) }

    // MARK: The interfaces

    package func interface(_ side: Side) -> Interface { side == .inside ? inside : outside }

    /// Takes note of other addresses or another MTU. Flows whose exit address another one replaces end: their answers can
    /// not come back, and a server that hears of them from another address would not know them. One that is only gone, as
    /// while a VPN starts again, may come back with its flows.
    ///
    /// - Returns: how many flows ended.
    @discardableResult
    package mutating func replace(_ side: Side, by interface: Interface) -> Int {
        guard side == .outside else {
            inside = interface
            return 0
        }
        outside = interface
        var flushed = 0
        if let v4 = interface.v4, v4 != flowsV4 {
            flushed += flush(isV4: true)
            flowsV4 = v4
        }
        if let v6 = interface.v6, v6 != flowsV6 {
            flushed += flush(isV4: false)
            flowsV6 = v6
        }
        flowsFlushed &+= UInt64(flushed)
        return flushed
    }

    private mutating func flush(isV4: Bool) -> Int {
        var count = 0
        var next = flows.nextLive(from: 0)
        while let slot = next {
            if flows[slot].remote.isV4 == isV4 {
                bindings.takeBack(flows.close(slot))
                count += 1
            }
            next = flows.nextLive(from: slot + 1)
        }
        return count
    }

    /// The longest packet that its next hop takes.
    func nextHopMTU(of summary: PacketSummary, from side: Side) -> Int {
        let isOutward = side == .inside && summary.destination != exit(isV4: summary.isV4)
        return isOutward ? outside.mtu : inside.mtu
    }

    /// Whether a packet may go on over a link, and how: every hop is counted, and IPv4 is cut where its sender lets us.
    ///
    /// - Parameters:
    ///   - wireLength: of the packet, or of a super-packet's segments.
    ///   - hops: that it must still be allowed.
    private func judge(
        _ packet: RawSpan, _ summary: PacketSummary, wireLength: Int, mtu: Int, hops: UInt8 = 1
    ) throws(DropReason) -> Passage {
        guard summary.hopLimit > hops else { throw .refused(.hopLimitExceeded) }
        guard wireLength > mtu else { return .whole }
        // A super-packet is cut into segments and not into fragments; one that has too long ones says so to its sender.
        guard summary.isV4, wireLength == summary.totalLength, packet.octet(at: 6) & 0x40 == 0,
            Fragmenter.fits(summary, mtu: mtu)
        else { throw .refused(.packetTooBig) }
        return .inFragments
    }

    // MARK: From the tailnet

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

    /// Begins a flow: a port, a slot, both names in the indexes. The port comes first, so that no flow gives way to a
    /// beginning that is then refused. TCP may begin in the middle, after a restart of ours: the
    /// remote's reset then ends at once what would otherwise hang.
    private mutating func open(
        _ summary: PacketSummary, _ key: FlowKey, _ hash: UInt64, _ exit: IPAddress, _ now: UInt32,
        _ statistics: inout Statistics
    ) throws(DropReason) -> Int {
        guard !summary.tcpFlags.contains(.rst) else { throw .refused(.noFlow) }
        func outsideKey(_ port: UInt16) -> FlowKey {
            FlowKey(
                local: exit, remote: key.remote, localPort: port, remotePort: key.remotePort, transport: key.transport)
        }
        let loan = bindings.lend(key) { port in
            let candidate = outsideKey(port)
            return flows.findOutside(candidate, flows.hash(candidate)) == nil
        }
        guard let loan else { throw .refused(.bindingsExhausted) }
        let outside = outsideKey(loan.port)
        let flow = Flow(
            inside: key, insideHash: hash, outside: outside, outsideHash: flows.hash(outside), binding: loan.binding,
            state: .opening, now: now)
        guard let slot = flows.reserve() ?? evict(&statistics) else {
            bindings.takeBack(flow)
            throw .refused(.flowTableFull)
        }
        flows.open(slot, flow)
        statistics.flowsOpened &+= 1
        return slot
    }

    // MARK: From the VPN

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

    // MARK: Fragments and quotes

    private mutating func record(firstFragment summary: PacketSummary, _ slot: Int, _ now: UInt32) {
        let place = FragmentTable.Place(slot: slot, insideHash: flows[slot].insideHash)
        fragments.record(FragmentTable.Key(summary), at: place, now: now)
    }

    /// The flow that the first fragment belonged to, if it still lives.
    private func slot(ofLaterFragment summary: PacketSummary, _ now: UInt32) throws(DropReason) -> Int {
        guard let place = fragments.find(FragmentTable.Key(summary), now: now),
            flows[place.slot].insideHash == place.insideHash
        else { throw .refused(.unknownFragment) }
        return place.slot
    }

    /// The packet that an ICMP error is about, which went in `direction`.
    private func quote(
        in packet: RawSpan, _ summary: PacketSummary, of direction: Direction
    ) throws(DropReason) -> PacketSummary {
        guard !summary.isRedirect else { throw .refused(.unsupportedTransport) }
        let quote: PacketSummary
        do throws(ParseError) {
            quote = try PacketSummary(quoted: packet.extracting(summary.quoteOffset..<summary.totalLength))
            // A later fragment names no port, and a flow is found by nothing less.
            guard quote.fragment != .later, quote.isV4 == summary.isV4 else { throw .badFragment }
        } catch {
            throw .malformed(error)
        }
        guard quote.namesFlow(direction) else { throw .refused(.noFlow) }
        return quote
    }

    // MARK: Ends

    /// Ends flows whose time is over, at most `budget` looks at a time.
    ///
    /// - Returns: whether all that are due were looked at.
    @discardableResult
    package mutating func expire(now: UInt32, budget: Int, _ statistics: inout Statistics) -> Bool {
        var budget = budget
        while let slot = flows.nextExpired(now, budget: &budget) {
            bindings.takeBack(flows.close(slot))
            statistics.flowsExpired &+= 1
        }
        return budget > 0
    }

    private mutating func evict(_ statistics: inout Statistics) -> Int? {
        guard let slot = flows.nextToEvict() else { return nil }
        bindings.takeBack(flows.close(slot))
        statistics.flowsEvicted &+= 1
        return flows.reserve()
    }

    /// Ports that the host's own sockets hold: no new flow borrows them.
    package mutating func hold(_ transport: Transport, ports: [UInt16]) { bindings.hold(transport, ports: ports) }
}

extension PacketSummary {
    /// Neither a fragment nor the beginning of a TCP conversation.
    @inline(always) fileprivate var isOrdinary: Bool { fragment == .none && !tcpFlags.contains(.syn) }

    /// Whether a packet that goes in `direction` names a flow by its own key. Of ICMP only an echo does, the request on its
    /// way out and the reply on its way in (RFC 792, RFC 4443 section 4).
    @inline(always) fileprivate func namesFlow(_ direction: Direction) -> Bool {
        switch transport {
        case .tcp, .udp: true
        case .icmp: icmpType == (direction == .egress ? 8 : 0)
        case .icmpv6: icmpType == (direction == .egress ? 128 : 129)
        case .other: false
        }
    }
}
