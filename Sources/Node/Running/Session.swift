import DataPlane
import Glibc
import LinuxNetwork
import LinuxSystem
import Logging
import PacketParse
import Steering
import Synchronization

/// One stretch of forwarding between two edges: the programs, the ports and the loop, made together or not at all.
///
/// When it ends, the programs stay on the edges, closed: exit traffic is dropped until a next session or `down`, and does
/// not fall to the kernel's routing.
final class Session: Sendable {
    let edges: Edges
    let choice: LoopThread.Choice
    let inquiries: Inquiries
    // Before the steering, whose memory its loop writes: the first to be declared is the first to go.
    private let thread: LoopThread
    private let steering: Mutex<Steering>
    /// What the programs had counted when forwarding began: trial packets.
    private let trialCounts: [VerdictCount]

    /// Makes everything and forwards from here on.
    ///
    /// - Throws: what could not be had; nothing is left of the rest.
    init(_ edges: Edges, _ settings: NodeSettings, _ netlink: borrowing Netlink) throws(Refusal) {
        var steering = try Self.load()
        var inside = try Self.openPort(.inside)
        var outside = try Self.openPort(.outside)
        do throws(KernelError) {
            try steering.keepLocal(Self.keptLocal(edges, settings))
        } catch {
            throw Refusal(couldNot: "keep the node's own traffic apart", error)
        }
        let portLinks = try Self.prepare(steering, netlink)

        // Closed until here, so the trial packets end in the programs. What one port refuses, the other must not deliver.
        let (insideTakes, outsideTakes) = (inside.accepted(), outside.accepted())
        inside.degrade(to: outsideTakes)
        outside.degrade(to: insideTakes)

        trialCounts = (try? steering.verdicts()) ?? []

        // The programs must know their edges before the first packet; what comes before the loop waits in the ports.
        steering.configure(
            Ways(
                tailnet: Ways.Edge(index: edges.tailnet.index, isEthernet: edges.tailnet.isEthernet),
                vpn: Ways.Edge(index: edges.vpn.index, isEthernet: edges.vpn.isEthernet),
                insidePort: portLinks.inside, outsidePort: portLinks.outside, exitIPv4: edges.outside.v4,
                exitIPv6: edges.outside.v6))
        let attachment = try Self.attachment(to: edges, steering, netlink)
        do throws(KernelError) {
            try attachment.execute(netlink)
        } catch {
            steering.close()
            throw Refusal(couldNot: "attach to \(edges.tailnet.name) and \(edges.vpn.name)", error)
        }
        do throws(KernelError) {
            let inquiries = try Inquiries()
            thread = try LoopThread(
                inside: inside, outside: outside, nat: try Self.nat(edges, settings, steering),
                kinds: settings.io.kinds, inquiries: inquiries)
            choice = thread.choice
            self.inquiries = inquiries
        } catch {
            steering.close()
            attachment.revert(netlink)
            throw Refusal(startingTheLoop: error, settings)
        }
        self.edges = edges
        self.steering = Mutex(steering)
    }

    /// Readable when the loop has ended by itself.
    var endedDescriptor: CInt { thread.endedDescriptor }

    /// Closes the ways, then ends the loop and with it the ports.
    ///
    /// - Throws: why the loop had ended by itself.
    func end() throws(KernelError) {
        steering.withLock { $0.close() }
        inquiries.stop()
        try thread.join()
    }

    /// Has new flows keep off the ports that sockets of the host hold now. A loop that is too busy is asked next time.
    func holdPorts() {
        let held = HeldPorts.now()
        _ = try? inquiries.ask { nat, _ in
            nat.hold(.tcp, ports: held.tcp)
            nat.hold(.udp, ports: held.udp)
        }
    }

    /// Packets that the programs dropped, by what they say of it.
    func steeringDrops() throws(KernelError) -> [String: UInt64] {
        let now = try steering.withLock { steering throws(KernelError) in try steering.verdicts() }
        var drops: [String: UInt64] = [:]
        for (index, verdict) in now.enumerated() where verdict.isDrop {
            let earlier = index < trialCounts.count ? trialCounts[index].packets : 0
            drops[verdict.name] = verdict.packets - earlier
        }
        return drops
    }
}

// MARK: Parts

extension Session {
    private static func load() throws(Refusal) -> Steering {
        do {
            return try Steering()
        } catch {
            throw Refusal(loading: error)
        }
    }

    /// Opens a port. A name stays busy for a moment after io_uring let go of it, hence a second's patience.
    private static func openPort(_ side: Side) throws(Refusal) -> Port {
        var patience = 20
        while true {
            do throws(KernelError) {
                return try Port(creating: side.portName)
            } catch {
                guard error.errno == .resourceBusy, patience > 0 else { throw Refusal(openingPort: error) }
                patience -= 1
                usleep(50_000)
            }
        }
    }

    private static func prepare(
        _ steering: borrowing Steering, _ netlink: borrowing Netlink
    ) throws(Refusal) -> (inside: Int32, outside: Int32) {
        do throws(KernelError) {
            var indexes: [Int32] = []
            for (side, program) in [(Side.inside, Steering.Program.insidePortIngress), (.outside, .outsidePortIngress)]
            {
                guard let link = try netlink.link(named: side.portName) else {
                    throw KernelError("RTM_GETLINK", .noSuchAddressOrDevice, side.portName)
                }
                let (descriptor, name) = steering.program(program)
                // No plan to take back: all of it goes with the port.
                let steps: [Plan.Step] = [
                    .hook(link), .attach(Attachment.filter(name), link, program: descriptor), .ready(link),
                ]
                try Plan(steps: steps).execute(netlink)
                indexes.append(link.index)
            }
            return (indexes[0], indexes[1])
        } catch {
            throw Refusal(couldNot: "set up the ports fwd-in and fwd-out", error)
        }
    }

    private static func attachment(
        to edges: Edges, _ steering: borrowing Steering, _ netlink: borrowing Netlink
    ) throws(Refusal) -> Plan {
        var steps: [Plan.Step] = []
        for (program, link) in [(Steering.Program.tailnetIngress, edges.tailnet), (.vpnIngress, edges.vpn)] {
            let (descriptor, name) = steering.program(program)
            let predecessors = try refusing(couldNot: "see what is attached to \(link.name)") {
                () throws(KernelError) in try Attachment.all(on: link, netlink)
            }
            let filter = Attachment.filter(name)
            steps.append(.hook(link))
            steps.append(
                predecessors.isEmpty
                    ? .attach(filter, link, program: descriptor) : .replace(filter, link, program: descriptor))
        }
        return Plan(steps: steps)
    }

    /// Destinations that stay with the host: its own addresses, Tailscale's service addresses, what the settings say.
    private static func keptLocal(_ edges: Edges, _ settings: NodeSettings) -> [IPPrefix] {
        let services = ["100.100.100.100", "fd7a:115c:a1e0::53"].compactMap { IPPrefix($0) }
        return services + edges.nodeAddresses.map { IPPrefix(host: $0) } + settings.local
    }

    private static func nat(
        _ edges: Edges, _ settings: NodeSettings, _ steering: borrowing Steering
    ) throws(KernelError) -> NAT {
        let seed = HashSeed.random()
        let memory = unsafe steering.liveBindings
        var bindings = try Bindings(
            range: settings.bindingPorts.first...settings.bindingPorts.last,
            live: unsafe LiveBindings(
                tcpPorts: memory.tcpPorts, udpPorts: memory.udpPorts, queries: memory.queries,
                queryCount: Int(memory.queryCount)),
            seed: seed)
        let held = HeldPorts.now()
        bindings.hold(.tcp, ports: held.tcp)
        bindings.hold(.udp, ports: held.udp)
        return NAT(
            flows: try FlowTable(capacity: settings.flows, seed: seed, now: LoopClock().seconds), bindings: bindings,
            fragments: try FragmentTable(seed: seed), inside: edges.inside, outside: edges.outside)
    }
}

extension IOPreference {
    /// What may be used, the best first.
    fileprivate var kinds: [IOKind] {
        switch self {
        case .auto: [.uring, .poll]
        case .uring: [.uring]
        case .poll: [.poll]
        }
    }
}
