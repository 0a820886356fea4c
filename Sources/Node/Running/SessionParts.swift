import DataPlane
import Glibc
import LinuxSystem
import PacketParse
import Steering

// What a session is made of, each part had or refused by itself: the programs, the ports, the loop.

extension Session {
    /// - Parameter pins: where counters for the bill are found.
    static func load(_ pins: Pins?) throws(Refusal) -> Steering {
        do {
            return try Steering(pins)
        } catch {
            throw Refusal(loading: error)
        }
    }

    /// Opens a port. A name stays busy for a moment after io_uring let go of it, hence a second's patience.
    static func openPort(_ side: Side) throws(Refusal) -> Port {
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

    static func portIndexes(_ host: borrowing Host) throws(Refusal) -> (inside: Int32, outside: Int32) {
        func index(_ side: Side) throws(Refusal) -> Int32 {
            let link = try? host.netlink.link(named: side.portName)
            guard let link else {
                throw Refusal(
                    couldNot: "find the port \(side.portName)", because: "somebody took it away meanwhile",
                    remedy: "start it again as before", exitCode: .unavailable)
            }
            return link.index
        }
        return (try index(.inside), try index(.outside))
    }

    static func loop(
        _ inside: consuming Port, _ outside: consuming Port, _ settings: NodeSettings, _ steering: borrowing Steering
    ) throws(Refusal) -> (LoopThread, Inquiries) {
        do throws(KernelError) {
            let inquiries = try Inquiries()
            let thread = try LoopThread(
                inside: inside, outside: outside, nat: try nat(settings, steering), kinds: settings.io.kinds,
                inquiries: inquiries)
            return (thread, inquiries)
        } catch {
            throw Refusal(startingTheLoop: error, settings)
        }
    }

    private static func nat(_ settings: NodeSettings, _ steering: borrowing Steering) throws(KernelError) -> NAT {
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
            fragments: try FragmentTable(seed: seed), clients: try ClientTotals(), inside: .none, outside: .none)
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
