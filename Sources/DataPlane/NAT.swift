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
///
/// Here is what both directions share; each has a file of its own, `Egress.swift` and `Ingress.swift`.
package struct NAT: ~Copyable, Sendable {
    package internal(set) var flows: FlowTable
    package internal(set) var bindings: Bindings
    var fragments: FragmentTable
    var inside: Interface
    var outside: Interface
    /// The exit addresses that the flows were opened with.
    private var flowsV4: IPAddress?
    private var flowsV6: IPAddress?
    package internal(set) var flowsFlushed: UInt64 = 0
    package private(set) var endedFlows = EndedFlows()
    package private(set) var clients: ClientTotals

    /// - Parameters:
    ///   - inside: the node on the tailnet.
    ///   - outside: the node on the VPN; its addresses stand for the whole tailnet.
    package init(
        flows: consuming FlowTable, bindings: consuming Bindings, fragments: consuming FragmentTable,
        clients: consuming ClientTotals, inside: Interface, outside: Interface
    ) {
        self.flows = flows
        self.bindings = bindings
        self.fragments = fragments
        self.clients = clients
        self.inside = inside
        self.outside = outside
        (flowsV4, flowsV6) = (outside.v4, outside.v6)
    }

    @inline(always) func exit(isV4: Bool) -> IPAddress { outside.address(isV4: isV4) }

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
                end(slot)
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
    func judge(
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

    // MARK: Beginnings

    /// Begins a flow: a port, a slot, both names in the indexes. The port comes first, so that no flow gives way to a
    /// beginning that is then refused. TCP may begin in the middle, after a restart of ours: the
    /// remote's reset then ends at once what would otherwise hang.
    mutating func open(
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

    // MARK: Fragments and quotes

    mutating func record(firstFragment summary: PacketSummary, _ slot: Int, _ now: UInt32) {
        let place = FragmentTable.Place(slot: slot, insideHash: flows[slot].insideHash)
        fragments.record(FragmentTable.Key(summary), at: place, now: now)
    }

    /// The flow that the first fragment belonged to, if it still lives.
    func slot(ofLaterFragment summary: PacketSummary, _ now: UInt32) throws(DropReason) -> Int {
        guard let place = fragments.find(FragmentTable.Key(summary), now: now),
            flows[place.slot].insideHash == place.insideHash
        else { throw .refused(.unknownFragment) }
        return place.slot
    }

    /// The packet that an ICMP error is about, which went in `direction`.
    func quote(
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
            end(slot)
            statistics.flowsExpired &+= 1
        }
        return budget > 0
    }

    private mutating func evict(_ statistics: inout Statistics) -> Int? {
        guard let slot = flows.nextToEvict() else { return nil }
        end(slot)
        statistics.flowsEvicted &+= 1
        return flows.reserve()
    }

    /// The one end of every flow.
    private mutating func end(_ slot: Int) {
        let flow = flows.close(slot)
        bindings.takeBack(flow)
        endedFlows.record(flow)
        clients.record(flow, hash: flows.hash(flow.client))
    }

    /// Ports that the host's own sockets hold: no new flow borrows them.
    package mutating func hold(_ transport: Transport, ports: [UInt16]) { bindings.hold(transport, ports: ports) }
}

extension PacketSummary {
    /// Neither a fragment nor the beginning of a TCP conversation.
    @inline(always) var isOrdinary: Bool { fragment == .none && !tcpFlags.contains(.syn) }

    /// Whether a packet that goes in `direction` names a flow by its own key. Of ICMP only an echo does, the request on its
    /// way out and the reply on its way in (RFC 792, RFC 4443 section 4).
    @inline(always) func namesFlow(_ direction: Direction) -> Bool {
        switch transport {
        case .tcp, .udp: true
        case .icmp: icmpType == (direction == .egress ? 8 : 0)
        case .icmpv6: icmpType == (direction == .egress ? 128 : 129)
        case .other: false
        }
    }
}
