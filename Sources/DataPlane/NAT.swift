package import PacketParse

/// The addresses of the VPN that stand for the whole tailnet, one per family where it has one.
package struct ExitAddresses: Sendable, Equatable {
    package var v4: IPAddress?
    package var v6: IPAddress?

    package init(v4: IPAddress?, v6: IPAddress?) {
        self.v4 = v4
        self.v6 = v6
    }
}

/// Decides about a packet and rewrites it: which flow it belongs to, whether a new one may begin, whose address it bears.
///
/// A NAT44 and NAT66 with the manners of RFC 4787, 5382 and 5508: what comes from outside passes only if the tailnet
/// opened that very flow (address- and port-dependent filtering).
package struct NAT: ~Copyable, Sendable {
    package private(set) var flows: FlowTable
    package private(set) var bindings: Bindings
    private var fragments: FragmentTable
    // The mapped form spares an optional per packet; `unspecified` is "none".
    private var exitV4: IPAddress
    private var exitV6: IPAddress

    package init(
        flows: consuming FlowTable, bindings: consuming Bindings, fragments: consuming FragmentTable,
        exits: ExitAddresses
    ) {
        self.flows = flows
        self.bindings = bindings
        self.fragments = fragments
        exitV4 = exits.v4 ?? .unspecified
        exitV6 = exits.v6 ?? .unspecified
    }

    @inline(always) private func exit(isV4: Bool) -> IPAddress { isV4 ? exitV4 : exitV6 }

    // MARK: From the tailnet

    /// Decides about a packet from the tailnet and gives it the exit address.
    ///
    /// - Parameter hash: of its outbound key, computed when the batch was prefetched.
    @inline(always)
    package mutating func egress(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, hash: UInt64, checksum: PendingChecksum, now: UInt32,
        _ statistics: inout Statistics
    ) throws(DropReason) {
        guard summary.hopLimit > 1 else { throw .refused(.hopLimitExceeded) }
        let key = FlowKey.outbound(summary)
        let slot: Int
        if summary.fragment == .none, summary.namesFlow(.egress), let known = flows.findInside(key, hash) {
            slot = known
        } else {
            guard let found = try unusualEgress(&packet, summary, key, hash, now, &statistics) else { return }
            slot = found
        }
        // Read before the counters are written: a wide load right behind narrow stores makes the processor wait.
        let rewrite = Rewrite.egress(flows[slot], exit: exit(isV4: summary.isV4))
        let before = flows[slot].state
        flows[slot].recordEgress(bytes: summary.totalLength, flags: summary.tcpFlags, now: now)
        if flows[slot].state != before { flows.reschedule(slot) }
        rewrite.apply(to: &packet, summary, checksum: checksum)
    }

    /// What is not the next packet of a known flow: a fragment, an ICMP error (rewritten here, hence no slot), a beginning.
    @inline(never)
    private mutating func unusualEgress(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, _ key: FlowKey, _ hash: UInt64, _ now: UInt32,
        _ statistics: inout Statistics
    ) throws(DropReason) -> Int? {
        guard summary.source.isForwardable, summary.destination.isForwardable else {
            throw .refused(.unforwardableAddress)
        }
        let exit = exit(isV4: summary.isV4)
        guard exit != .unspecified else { throw .refused(.noExitAddress) }
        // Nobody speaks to himself through a router, and the exit address is nobody's beyond us.
        guard summary.source != exit, summary.destination != exit, summary.source != summary.destination else {
            throw .refused(.unforwardableAddress)
        }
        if summary.fragment == .later {
            let slot = try slot(ofLaterFragment: summary, now)
            guard flows[slot].client == summary.source else { throw .refused(.unknownFragment) }
            return slot
        }
        if summary.isICMPError {
            let quote = try quote(in: packet.bytes, summary, of: .ingress)
            let quotedKey = FlowKey.inbound(quote)
            guard let slot = flows.findInside(quotedKey, flows.hash(quotedKey)) else { throw .refused(.noFlow) }
            Rewrite.egress(flows[slot], exit: exit).apply(toErrorIn: &packet, summary, quote: quote)
            return nil
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
    /// - Parameter hash: of its inbound key, computed when the batch was prefetched.
    @inline(always)
    package mutating func ingress(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, hash: UInt64, checksum: PendingChecksum, now: UInt32
    ) throws(DropReason) {
        guard summary.hopLimit > 1 else { throw .refused(.hopLimitExceeded) }
        let slot: Int
        if summary.fragment == .none, summary.namesFlow(.ingress), summary.destination == exit(isV4: summary.isV4),
            let known = flows.findOutside(FlowKey.inbound(summary), hash)
        {
            slot = known
        } else {
            guard let found = try unusualIngress(&packet, summary, hash, now) else { return }
            slot = found
        }
        let rewrite = Rewrite.ingress(flows[slot])
        let before = flows[slot].state
        flows[slot].recordIngress(bytes: summary.totalLength, flags: summary.tcpFlags, now: now)
        if flows[slot].state != before { flows.reschedule(slot) }
        rewrite.apply(to: &packet, summary, checksum: checksum)
    }

    @inline(never)
    private mutating func unusualIngress(
        _ packet: inout MutableRawSpan, _ summary: PacketSummary, _ hash: UInt64, _ now: UInt32
    ) throws(DropReason) -> Int? {
        let exit = exit(isV4: summary.isV4)
        guard exit != .unspecified, summary.destination == exit else { throw .refused(.noFlow) }
        if summary.fragment == .later {
            let slot = try slot(ofLaterFragment: summary, now)
            guard flows[slot].remote == summary.source else { throw .refused(.unknownFragment) }
            return slot
        }
        if summary.isICMPError {
            // The one kind of packet whose source no flow vouches for.
            guard summary.source.isForwardable else { throw .refused(.unforwardableAddress) }
            let quote = try quote(in: packet.bytes, summary, of: .egress)
            let quotedKey = FlowKey.outbound(quote)
            guard quote.source == exit, let slot = flows.findOutside(quotedKey, flows.hash(quotedKey)) else {
                throw .refused(.noFlow)
            }
            Rewrite.ingress(flows[slot]).apply(toErrorIn: &packet, summary, quote: quote)
            return nil
        }
        guard summary.fragment == .first, summary.namesFlow(.ingress),
            let slot = flows.findOutside(FlowKey.inbound(summary), hash)
        else { throw .refused(.noFlow) }
        record(firstFragment: summary, slot, now)
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

    // MARK: Addresses and ends

    /// Takes the addresses that clients leave by from now on, and ends the flows of one that is lost: their remotes know
    /// no other.
    ///
    /// - Returns: how many flows were ended.
    package mutating func leave(by exits: ExitAddresses) -> Int {
        let (v4, v6) = (exits.v4 ?? .unspecified, exits.v6 ?? .unspecified)
        let (keepsV4, keepsV6) = (v4 == exitV4, v6 == exitV6)
        (exitV4, exitV6) = (v4, v6)
        var ended = 0
        for slot in flows.slotsEverUsed where flows.isLive(slot) && !(flows[slot].client.isV4 ? keepsV4 : keepsV6) {
            bindings.takeBack(flows.close(slot))
            ended += 1
        }
        return ended
    }

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

    /// ICMP's redirect, which speaks of a network that its reader is not on (RFC 792). ICMPv6 has it among its queries.
    fileprivate var isRedirect: Bool { transport == .icmp && icmpType == 5 }
}

extension IPAddress {
    /// Whether a router may forward a packet from or to this address (RFC 1812 section 5.3.7, RFC 4291 section 2.5.6).
    fileprivate var isForwardable: Bool {
        !(isUnspecified || isLoopback || isLinkLocal || isMulticast || isReserved)
    }

    /// 0.0.0.0/8 and 240.0.0.0/4, limited broadcast among them (RFC 1112 section 4, RFC 6890).
    private var isReserved: Bool { isV4 && (v4 >> 24 == 0 || v4 >> 28 == 0xf) }
}
