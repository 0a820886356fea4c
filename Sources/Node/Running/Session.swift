import DataPlane
import FoundationEssentials
import LinuxNetwork
import LinuxSystem
import PacketParse
import Steering
import Synchronization

/// The means of forwarding: the programs, the ports and the loop, made together or not at all; the edges come and go.
///
/// When it ends, the programs stay on the edges, closed, and so do the rules: exit traffic is dropped until a next session
/// or `down`, and does not fall to the kernel's routing.
final class Session: Sendable {
    let startedAt = Date()
    let choice: LoopThread.Choice
    let inquiries: Inquiries
    // Before the steering, whose memory its loop writes: the first to be declared is the first to go.
    private let thread: LoopThread
    private let steering: Mutex<Steering>
    private let marks: ControlPlaneMarks
    private let ports: (inside: Int32, outside: Int32)
    /// What the programs had counted when forwarding began: trial packets.
    private let trialCounts: [VerdictCount]
    private let standing = Mutex(Standing())

    /// What was last made of the edges.
    private struct Standing {
        var edges = Edges.none
        /// What is routed by the host itself.
        var local: [IPPrefix] = []
        var ways: Ways?
        /// Why tailscaled's cgroup is not marked.
        var obstacle: TailscaledCgroup.Obstacle?
        /// As the loop knows them.
        var inside: Interface?
        var outside: Interface?
        /// What this session made of the host, until it has once forwarded: a start that fails leaves the host as it was.
        var made: [Plan.Step] = []
        var hasForwarded = false
        /// Interfaces that were edges by older settings.
        var former: [String] = []
    }

    /// Makes everything and closes the host. Nothing is forwarded until `follow` has met both edges.
    ///
    /// - Parameters:
    ///   - edges: as they were moments ago. What has changed since, the first `follow` meets, for the watch is older.
    ///   - routing: of the same moment.
    /// - Throws: what could not be had; nothing is left of the rest.
    init(_ settings: NodeSettings, _ edges: Edges, _ routing: Routing, _ host: inout Host) throws(Refusal) {
        var steering = try Steering(countingFor: settings)
        for program in Steering.Program.allCases { host.programs[program] = steering.loaded(program) }
        marks = ControlPlaneMarks(steering.controlPlane)
        host.marks = marks
        // Names are taken before anything else is touched: a second instance ends here.
        var inside = try Self.openPort(.inside)
        var outside = try Self.openPort(.outside)
        try steering.beginBill(settings)
        var made: [Plan.Step] = []
        do throws(KernelError) {
            // The guard may take the place of another's: it must know at once what passes.
            try steering.keepLocal(settings.keptLocal(edges))
            steering.guardUplinks(by: GuardRules(settings, edges.uplinks, Encapsulation(settings, edges)))
            try Plan(closing: settings, beside: edges.uplinks).withPorts().settle(host, routing, made: &made)
        } catch {
            Plan.takeBack(made, host)
            throw Refusal(closing: error, couldNot: "close the host and set up the ports fwd-in and fwd-out")
        }
        do throws(Refusal) {
            // Closed until here, so the trial packets end in the programs. What one port refuses, the other must not
            // deliver.
            let (insideTakes, outsideTakes) = (inside.accepted(), outside.accepted())
            inside.degrade(to: outsideTakes)
            outside.degrade(to: insideTakes)
            trialCounts = (try? steering.verdicts()) ?? []
            ports = try Self.portIndexes(host)
            (thread, inquiries) = try Self.loop(inside, outside, settings, steering)
        } catch {
            Plan.takeBack(made, host)
            throw error
        }
        choice = thread.choice
        self.steering = Mutex(steering)
        standing.withLock { [made] in $0.made = made }
    }

    /// Readable when the loop has ended by itself.
    var endedDescriptor: CInt { thread.endedDescriptor }

    /// The edges as they were last met.
    var edges: Edges { standing.withLock { $0.edges } }

    /// Whether both edges have once been met.
    var hasForwarded: Bool { standing.withLock { $0.hasForwarded } }

    /// Networks that are left to the host's routing.
    var local: [IPPrefix] { standing.withLock { $0.local } }

    /// What the ways wait for; nothing when they are open.
    var missing: [String] {
        standing.withLock { $0.ways != nil ? [] : $0.edges.missing.isEmpty ? ["the edges"] : $0.edges.missing }
    }

    /// Whether our ports bear their names still, in this namespace.
    func hasPorts(_ host: borrowing Host) -> Bool {
        for (side, index) in [(Side.inside, ports.inside), (.outside, ports.outside)] {
            // What cannot be asked is no answer.
            let link: Link?
            do throws(KernelError) { link = try host.netlink.link(named: side.portName) } catch { continue }
            guard link?.index == index else { return false }
        }
        return true
    }

    // MARK: Following

    /// Meets the edges as they are now: attaches to those that are new, opens the ways between them or closes them, and
    /// ends the flows of an exit address that is lost.
    ///
    /// - Parameters:
    ///   - routing: of the same look as the edges.
    ///   - encapsulation: what the guard lets pass as the VPN's own packets.
    /// - Returns: how many flows were ended.
    /// - Throws: what the kernel refused; the ways are closed then.
    func follow(
        _ edges: Edges, _ routing: Routing, _ settings: NodeSettings, passing encapsulation: Encapsulation,
        _ host: borrowing Host
    ) throws(KernelError) -> Int {
        let before = standing.withLock { $0 }
        let ways = Ways(
            tailnet: edges.tailnet.map { .init(index: $0.index, isEthernet: $0.isEthernet) },
            vpn: edges.vpn.map { .init(index: $0.index, isEthernet: $0.isEthernet) }, insidePort: ports.inside,
            outsidePort: ports.outside, exitIPv4: edges.outside.v4, exitIPv6: edges.outside.v6)
        let isOpen = edges.missing.isEmpty
        if !isOpen || before.ways != ways { close() }
        var made: [Plan.Step] = []
        defer {
            if !before.hasForwarded {
                // An edge that comes and goes makes the same step again.
                standing.withLock { [made] in $0.made += made.filter { !before.made.contains($0) } }
            }
        }
        do throws(KernelError) {
            var ended = 0
            if isOpen, (before.inside, before.outside) != (edges.inside, edges.outside) {
                ended = try replaceInterfaces(edges.inside, edges.outside)
            }
            try steering.withLock { steering throws(KernelError) in
                try steering.keepLocal(settings.keptLocal(edges))
                steering.guardUplinks(by: GuardRules(settings, edges.uplinks, encapsulation))
                // The programs must know their edges before the first packet.
                steering.learn(ways)
            }
            let plan = Plan(closing: settings, beside: edges.uplinks).withPorts()
                .attached(to: edges, marking: findCgroup())
            try plan.settle(host, routing, made: &made)
            if isOpen {
                // Not before all else holds: a dead node's rule may be what closes.
                try plan.endOtherRules(routing, host)
                try plan.giveBack(before.former, host)
                if before.ways != ways { steering.withLock { $0.configure(ways) } }
            }
            standing.withLock {
                $0.edges = edges
                $0.local = settings.local
                $0.ways = isOpen ? ways : nil
                $0.hasForwarded = $0.hasForwarded || isOpen
                if isOpen { $0.former = [] }
            }
            return ended
        } catch {
            close()
            throw error
        }
    }

    private func findCgroup() -> TailscaledCgroup? {
        do throws(TailscaledCgroup.Obstacle) {
            let cgroup = try TailscaledCgroup.find()
            standing.withLock { $0.obstacle = nil }
            return cgroup
        } catch {
            standing.withLock { $0.obstacle = error }
            return nil
        }
    }

    /// How tailscaled's control plane is told from everything else.
    var controlPlane: ControlPlane {
        if let cgroup = marks.cgroup { return .marked(cgroup) }
        let refusal = marks.refusal.map { "the kernel refuses: \($0)" }
        return .bearingItsOwn(because: standing.withLock { $0.obstacle?.evidence } ?? refusal ?? "not looked yet")
    }

    /// It is marked by us, or bears the mark that tailscaled sets.
    enum ControlPlane {
        case marked(TailscaledCgroup)
        case bearingItsOwn(because: String)
    }

    /// Interfaces that are edges no more; they are given back once the new ones are there.
    func leave(edges: [String]) { standing.withLock { $0.former += edges } }

    var edgesToLeave: [String] { standing.withLock { $0.former } }

    /// Drops all that would be forwarded, until the edges are met again.
    func close() {
        steering.withLock { $0.close() }
        standing.withLock { $0.ways = nil }
    }

    private func replaceInterfaces(_ inside: Interface, _ outside: Interface) throws(KernelError) -> Int {
        let ended = try inquiries.ask { nat, _ in
            nat.replace(.inside, by: inside) + nat.replace(.outside, by: outside)
        }
        guard let ended else { throw KernelError("ask", .timedOut, "packet loop") }
        standing.withLock { ($0.inside, $0.outside) = (inside, outside) }
        return ended
    }

    /// Has new flows keep off the ports that sockets of the host hold now. A loop that is too busy is asked next time.
    func holdPorts() {
        let held = HeldPorts.now()
        _ = try? inquiries.ask { nat, _ in
            nat.hold(.tcp, ports: held.tcp)
            nat.hold(.udp, ports: held.udp)
        }
    }

    // MARK: The end

    /// Closes the ways, then ends the loop and with it the ports.
    ///
    /// - Throws: why the loop had ended by itself.
    func end() throws(KernelError) {
        close()
        inquiries.stop()
        try thread.join()
    }

    /// Ends; a session that has never forwarded leaves the host as it was.
    func takeBack(_ host: borrowing Host) {
        try? end()
        // Rather closed than taken back beside somebody else who closes.
        guard let lock = try? Host.lock() else { return }
        Plan.takeBack(standing.withLock { $0.hasForwarded ? [] : $0.made }, host)
        lock.release()
    }

    // MARK: Counts

    /// Processor time of the packet loop.
    var loopSeconds: Double? { thread.processorNanoseconds.map { Double($0) / 1e9 } }

    /// What the guard has counted, and since when.
    func guardCounts() throws(KernelError) -> [GuardCount] {
        try steering.withLock { steering throws(KernelError) in try steering.guardCounts() }
    }

    /// What the programs have counted for the bill.
    func readMeters() throws(KernelError) -> MeterReading {
        try steering.withLock { steering throws(KernelError) in try steering.readMeters() }
    }

    /// Has the counters outlive this process, where there is a bpffs.
    func pinMeters(_ pins: Pins) -> Pinning {
        steering.withLock { steering in
            steering.pin(pins)
            return steering.pinning
        }
    }

    /// They end with it.
    func unpinMeters() { steering.withLock { $0.unpin() } }

    /// What clients' packets may pass from now on.
    func set(_ gate: Gate) { inquiries.set(gate) }

    /// Has `awaitBell` return when so many more octets have passed.
    func ring(after octets: UInt64?) { inquiries.bell.ring(after: octets) }

    func ringNow() { inquiries.bell.signal() }

    func awaitBell(milliseconds: Int32) { _ = inquiries.bell.wait(milliseconds: milliseconds) }

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
