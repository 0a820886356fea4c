import DataPlane
import FoundationEssentials
import LinuxNetwork
import LinuxSystem
import PacketParse
import Steering

// What a running node answers, put together from the loop's snapshot.

extension StatusReport {
    /// Without the last lines of the log, which only persons read.
    ///
    /// - Parameter snapshot: of the loop, where it has been asked already.
    init(_ node: RunningNode, _ state: RunningNode.State, _ snapshot: Snapshot? = nil) throws(Refusal) {
        let settings = node.settings
        self.init(
            state: .waiting, io: settings.io == .poll ? .poll : .uring, ioReason: "not chosen yet",
            flows: Flows(capacity: settings.flows),
            bindings: Bindings(capacity: Int(settings.bindingPorts.last - settings.bindingPorts.first) + 1),
            startedAt: Date(), pid: ProcessInfo.processInfo.processIdentifier)
        dns = node.nameReport
        vpn = node.tunnelReport
        notes = node.noted.withLock { $0 } + [node.admin?.note].compactMap(\.self)
        adminListen = node.admin?.place
        if let quota = node.quota.withLock({ $0 })?.latestReport {
            cap = Cap(quota)
            notes += quota.notes
        }
        switch state {
        case .starting:
            throw Refusal(
                couldNot: "tell how the node stands", because: "it is starting, and the host is not closed yet",
                remedy: "ask again in a moment", exitCode: .unavailable)
        case .stopping: self.state = .stopping
        case .running(let session):
            let asked: Snapshot
            if let snapshot { asked = snapshot } else { asked = try session.ask { _, snapshot in snapshot } }
            try add(session, settings, asked)
            let missing = session.missing
            self.state = missing.isEmpty ? .forwarding : .waiting
            waitingFor = missing.isEmpty ? nil : missing
        }
    }

    private mutating func add(
        _ session: Session, _ settings: NodeSettings, _ snapshot: Snapshot
    ) throws(Refusal) {
        startedAt = session.startedAt
        let statistics = snapshot.statistics
        io = session.choice.kind
        ioReason = session.ioReason(settings.io)
        let present = session.edges
        edges = Edges(
            tailnet: present.tailnet.map(Edge.init), vpn: present.vpn.map(Edge.init),
            uplink: present.uplink.map(Edge.init))
        exitAddresses = ExitAddresses(v4: present.outside.v4?.description, v6: present.outside.v6?.description)
        local = session.local.map(\.description)
        if case .marked = session.controlPlane { controlPlaneMarking = .ebpf }
        ports = Ports(
            inside: Port(name: Side.inside.portName, offloads: snapshot.offloads.inside),
            outside: Port(name: Side.outside.portName, offloads: snapshot.offloads.outside))
        forwarded = Forwarded(
            egress: Traffic(statistics.egress), ingress: Traffic(statistics.ingress),
            hairpin: Traffic(statistics.hairpin), fragmented: statistics.packetsFragmented)
        let guardCounts = try refusing(couldNot: "read the guard's counters", session.guardCounts)
        add(guardCounts, present.uplinks, settings.guarding)
        if let vpn = edges.vpn?.name, present.uplinks.links.allSatisfy({ $0.name != vpn }) {
            egress[vpn] = [
                "client": .init(packets: statistics.egress.packets, bytes: statistics.egress.bytes)
            ]
        }
        flows.live = snapshot.flowsLive
        flows.opened = statistics.flowsOpened
        flows.evicted = statistics.flowsEvicted
        flows.expired = statistics.flowsExpired
        flows.flushed = snapshot.flowsFlushed
        bindings.inUse = snapshot.bindingsInUse
        cap?.queue = ["egress": Queue(snapshot.queues.egress), "ingress": Queue(snapshot.queues.ingress)]
        drops = Dictionary(
            uniqueKeysWithValues: DropReason.all.map { ($0.name.description, statistics.dropped($0)) })
        errors = Errors(
            sent: Dictionary(
                uniqueKeysWithValues: ICMPError.allCases.map { ($0.name.description, statistics.sent($0)) }),
            suppressed: statistics.errorsSuppressed)
        do throws(KernelError) {
            // What the programs refused before it could reach us.
            drops.merge(try session.steeringDrops()) { $1 }
            // And what waited for us until there was no more room.
            let netlink = try Netlink()
            var lost: UInt64 = 0
            for side in Side.allCases { lost += try netlink.link(named: side.portName)?.transmitDrops ?? 0 }
            drops["port_queue_full"] = lost
        } catch {
            throw Refusal(couldNot: "read the kernel's counters", error)
        }
    }
}

extension StatusReport {
    /// What left by the uplinks, by its class, or was kept from it.
    private mutating func add(_ counts: [GuardCount], _ uplinks: Uplinks, _ mode: GuardMode) {
        var all = Guard(mode: mode, interfaces: uplinks.links.map(\.name))
        for count in counts {
            if count.isRefusal {
                all.refused[count.name, default: .init()] += count.tally
                all.leaked += count.leaked
            } else {
                all.classes[count.name, default: .init()] += count.tally
                guard let link = uplinks.links.first(where: { $0.index == count.uplink.index }) else { continue }
                egress[link.name, default: [:]][count.name] = count.tally
            }
        }
        self.guard = all
    }
}

extension StatusReport.Edge {
    fileprivate init(_ link: Link) {
        self.init(name: link.name, index: Int(link.index), kind: link.isEthernet ? .ethernet : .layer3)
    }
}

extension StatusReport.Traffic {
    fileprivate init(_ traffic: Statistics.Traffic) {
        self.init(packets: traffic.packets, bytes: traffic.bytes, superPackets: traffic.superPackets)
    }
}

extension StatusReport.Cap {
    fileprivate init(_ quota: QuotaReport) {
        self.init(
            limitBytes: quota.limitBytes, usedBytes: quota.usedBytes, remainingBytes: quota.remainingBytes,
            stage: quota.stage, rateBitPerS: quota.rateBitPerS, periodEnd: quota.periodEnd)
    }
}

extension StatusReport.Queue {
    fileprivate init(_ queue: Snapshot.Queue) {
        func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 1_000) / 1_000 }
        self.init(
            waitingPackets: queue.packets, waitingBytes: queue.bytes, delayMeanMs: milliseconds(queue.meanDelay),
            delayLongestMs: milliseconds(queue.longestDelay), marked: queue.marked)
    }
}

extension Session {
    /// Why packets are moved the way they are, for a person.
    func ioReason(_ preference: IOPreference) -> String {
        if let refusal = choice.refusal { return "io_uring refused: \(refusal)" }
        return preference == .auto ? "the kernel grants it" : "asked for by the setting io"
    }

    /// Packets of clients that have gone into the VPN; nil where the loop does not say.
    var clientPackets: UInt64? { try? ask { _, snapshot in snapshot.statistics.egress.packets } }

    /// Has the loop answer.
    func ask<Answer: Sendable>(
        _ question: @escaping @Sendable (inout NAT, Snapshot) -> Answer
    ) throws(Refusal) -> Answer {
        do throws(KernelError) {
            if let answer = try inquiries.ask(question) { return answer }
        } catch {
            throw Refusal(couldNot: "ask the packet loop", error)
        }
        throw Refusal(
            couldNot: "ask the packet loop", because: "it has not answered for a second",
            remedy: "if this lasts, restart the node", exitCode: .unavailable)
    }
}

extension Session {
    /// Slots that the loop copies between two batches: some tens of microseconds.
    private static let run = 1024

    /// Shows every live flow, a run of slots at a time; what begins or ends meanwhile may be seen or not.
    ///
    /// - Returns: how many there were, and the second that their times are counted to.
    func forEachFlow(_ show: (DataPlane.Flow) -> Void) throws(Refusal) -> (total: Int, now: UInt32) {
        var total = 0
        var slot = 0
        while true {
            let range = slot..<slot + Self.run
            let (flows, snapshot) = try ask { nat, snapshot in (nat.flows.flows(in: range), snapshot) }
            for flow in flows { show(flow) }
            total += flows.count
            slot = range.upperBound
            // Slots behind the last one ever used are empty.
            if slot >= snapshot.flowsCapacity || flows.isEmpty && total >= snapshot.flowsLive {
                return (total, snapshot.seconds)
            }
        }
    }
}

extension FlowsReport {
    init(_ state: RunningNode.State, top: Int, addresses: ControlRequest.Addresses) throws(Refusal) {
        guard case .running(let session) = state else {
            self.init(busiest: [], total: 0, addresses: addresses)
            return
        }
        var busiest = Busiest<DataPlane.Flow>(top)
        let (total, now) = try session.forEachFlow { flow in
            busiest.offer(flow.egressBytes &+ flow.ingressBytes, flow)
        }
        let date = Date()
        self.init(
            busiest: busiest.sorted().map { Flow($0, now, date) }, total: total, addresses: addresses)
    }
}

extension FlowsReport.Flow {
    fileprivate init(_ flow: DataPlane.Flow, _ now: UInt32, _ date: Date) {
        let hasPorts = flow.transport == .tcp || flow.transport == .udp
        func moment(_ second: UInt32) -> Date { date.addingTimeInterval(Double(second) - Double(now)) }
        self.init(
            transport: "\(flow.transport)", client: flow.client.description, clientPort: flow.clientPort,
            remote: flow.remote.description, remotePort: hasPorts ? flow.remotePort : nil,
            outsidePort: flow.outsidePort, state: flow.state.name.description, egressPackets: flow.egressPackets,
            egressBytes: flow.egressBytes, ingressPackets: flow.ingressPackets, ingressBytes: flow.ingressBytes,
            firstSeen: moment(flow.firstEgress), lastSeen: moment(flow.lastPacket))
    }
}
