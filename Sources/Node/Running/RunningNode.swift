import DataPlane
import FoundationEssentials
import Glibc
import LinuxNetwork
import LinuxSystem
package import Logging
import PacketParse
import Synchronization
import SystemPackage

/// A node from `forwarder run` to its end: waits for the edges, forwards, answers on the control socket, stops.
///
/// Three threads: the caller's follows signals and interfaces, one answers the control socket, one moves packets.
package final class RunningNode: Sendable {
    enum State: Sendable {
        case waiting(MissingEdges)
        case forwarding(Session)
        case stopping
    }

    /// Some twenty-five to forward, the rest to answer. It is asked for at once because not everything that lacks one says
    /// so: libbpf blames the programs, and the host's own ports would seem to be free.
    private static let descriptors: UInt64 = 64

    let settings: NodeSettings
    let startedAt = Date()
    private let state = Mutex<State>(.waiting(MissingEdges(all: [])))
    private let log: Logger
    private let stopRequest: EventDescriptor

    package init(_ settings: NodeSettings, _ log: Logger) throws(Refusal) {
        self.settings = settings
        self.log = log
        guard OwnedDescriptor.limit >= Self.descriptors else {
            throw Refusal(openFiles: OwnedDescriptor.limit, of: Self.descriptors)
        }
        stopRequest = try refusing(couldNot: "start") { () throws(KernelError) in try EventDescriptor() }
        let effective = try refusing(couldNot: "start") { () throws(KernelError) in try Capabilities.effective() }
        let missing = Capabilities([.netAdmin, .bpf]).subtracting(effective)
        guard missing.isEmpty else { throw Refusal(missing: missing) }
    }

    /// Forwards until SIGTERM, SIGINT, or a request to stop.
    ///
    /// - Parameter patience: how long the edges are waited for; for ever where nothing is said.
    /// - Throws: why it could not begin or go on.
    package func run(patience: Duration?) throws(Refusal) {
        // Before any thread: these inherit which signals are not theirs.
        let signals = try refusing(couldNot: "start") { () throws(KernelError) in
            try SignalDescriptor([SIGTERM, SIGINT])
        }
        let server = try ControlServer(path: settings.controlSocket)
        let serving = try refusing(couldNot: "answer on the control socket") { () throws(KernelError) in
            try LinuxSystem.Thread(named: "fwd-control") { [self] in
                server.serve { (request: ControlRequest) throws(Refusal) in try answer(request) }
            }
        }
        let outcome = Result { () throws(Refusal) in try awaitEdgesAndForward(patience, signals) }
        server.stop()
        serving.join()
        try outcome.get()
    }

    private func awaitEdgesAndForward(
        _ patience: Duration?, _ signals: borrowing SignalDescriptor
    ) throws(Refusal) {
        let watch = try refusing(couldNot: "follow the interfaces") { () throws(KernelError) in try LinkWatch() }
        let netlink = try refusing(couldNot: "ask for interfaces") { () throws(KernelError) in try Netlink() }
        guard let edges = try awaitEdges(patience, signals, watch, netlink) else { return }
        try forward(edges, signals, netlink)
    }

    // MARK: Waiting

    /// - Returns: the edges, or nothing when asked to stop meanwhile.
    private func awaitEdges(
        _ patience: Duration?, _ signals: borrowing SignalDescriptor, _ watch: borrowing LinkWatch,
        _ netlink: borrowing Netlink
    ) throws(Refusal) -> Edges? {
        let deadline = patience.map { ContinuousClock.now + $0 }
        var told: MissingEdges?
        while true {
            let found = try refusing(couldNot: "look for \(settings.tailnet) and \(settings.vpn)") {
                () throws(KernelError) in
                _ = try watch.drain()
                return try Edges.find(settings, netlink)
            }
            try Edges.refuseUnfit(settings, netlink)
            guard case .failure(let missing) = found else { return try? found.get() }
            state.withLock { $0 = .waiting(missing) }
            let left = deadline.map { ContinuousClock.now.duration(to: $0) }
            if let left, left <= .zero {
                throw Refusal(
                    couldNot: "forward", because: "there is still no \(missing.all.joined(separator: ", no "))",
                    remedy: "start tailscaled and the VPN first, name the interfaces with --tailnet and --vpn, "
                        + "or wait longer with --wait",
                    exitCode: .unavailable)
            }
            if told != missing { log.info("waiting for \(missing.all.joined(separator: ", "))") }
            told = missing
            let milliseconds = left.map { CInt(clamping: Int64($0 / .milliseconds(1)) + 1) } ?? -1
            let ready = UnixSocket.wait(
                [(signals.raw, POLLIN), (stopRequest.raw, POLLIN), (watch.descriptor, POLLIN)],
                milliseconds: milliseconds)
            if ready[0] != 0 || ready[1] != 0 { return nil }
        }
    }

    // MARK: Forwarding

    /// How often the host's own ports are looked up: what it binds inside our range is a person's explicit choice.
    private static let minute: CInt = 60_000

    private func forward(
        _ edges: Edges, _ signals: borrowing SignalDescriptor, _ netlink: borrowing Netlink
    ) throws(Refusal) {
        let session = try Session(edges, settings, netlink)
        state.withLock { $0 = .forwarding(session) }
        log.info(
            "forwarding",
            metadata: [
                "tailnet": "\(edges.tailnet.name)", "vpn": "\(edges.vpn.name)", "io": "\(session.choice.kind.rawValue)",
                "io_reason": "\(session.ioReason(settings.io))",
            ])
        ResidentMemory.forgetStart()
        let endings = [(signals.raw, POLLIN), (stopRequest.raw, POLLIN), (session.endedDescriptor, POLLIN)]
        while UnixSocket.wait(endings, milliseconds: Self.minute).allSatisfy({ $0 == 0 }) { session.holdPorts() }
        state.withLock { $0 = .stopping }
        do throws(KernelError) {
            try session.end()
        } catch {
            throw Refusal(
                couldNot: "go on forwarding", because: "\(error)",
                remedy: "start it as before when the interfaces are back", exitCode: .unavailable)
        }
        let down = nextCommand("down", controlSocket: settings.controlSocket)
        log.info("stopped; exit traffic is dropped until the next run, or until `\(down)`")
    }

    // MARK: Answers

    private func answer(_ request: ControlRequest) throws(Refusal) -> any Report {
        let state = state.withLock { $0 }
        switch request {
        case .status: return try StatusReport(self, state)
        case .flows(let top, let addresses): return try FlowsReport(state, top: top, addresses: addresses)
        case .stop:
            stopRequest.signal()
            return try StatusReport(self, .stopping)
        }
    }
}
