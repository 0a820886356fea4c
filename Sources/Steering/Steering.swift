internal import CBPF
import Glibc
package import LinuxNetwork
import LinuxSystem
import Synchronization

/// The eBPF programs in the kernel, and the memory they share with us.
///
/// Attaching them is LinuxNetwork's part. An attached program outlives this owner and keeps dropping what was ours, so
/// nothing of it falls through to the host's routing.
@safe package struct Steering: ~Copyable, @unchecked Sendable {
    let skeleton: UnsafeMutablePointer<steering_bpf>
    /// What `keepLocal` has put into the programs' trie.
    var kept: Set<IPPrefix> = []
    /// What `guardUplinks` has told the guard.
    var guardRules = GuardRules()
    /// Which uplink the guard counts where.
    var guardPlaces = [Ways.Edge?](repeating: nil, count: Steering.uplinkLimit)
    /// What each place had counted before its uplink took it.
    var guardedBefore = [[GuardTally]](repeating: [], count: Steering.uplinkLimit)
    /// What it has counted of uplinks that are gone, by verdict.
    var guardedFormerly: [UInt32: GuardCount] = [:]
    /// Whether what is counted for the bill outlives this process.
    package private(set) var pinning = Pinning.notAsked
    private var pins: Pins?

    /// Loads the programs, closed. Needs CAP_BPF and CAP_NET_ADMIN and nothing else.
    ///
    /// - Parameter pins: where the counters for the bill are found. New ones have no names until `pin`.
    package init(_ pins: Pins? = nil) throws(LoadRefusal) {
        // libbpf would print to stderr; what a person can use of it is the verifier's log, which goes into the refusal.
        unsafe libbpf_set_print(nil)
        let log = VerifierLog()
        var options = unsafe bpf_object_open_opts()
        unsafe options.sz = MemoryLayout<bpf_object_open_opts>.size
        unsafe options.kernel_log_buf = log.buffer
        unsafe options.kernel_log_size = VerifierLog.capacity

        guard let opened = unsafe steering_bpf__open_opts(&options) else {
            throw LoadRefusal(errno: errno, log: "")
        }
        let maps = unsafe [opened.pointee.maps.guard_tallies!, opened.pointee.maps.meters!]
        if let pins {
            do throws(KernelError) { pinning = try unsafe pins.resume(maps) } catch {
                unsafe steering_bpf__destroy(opened)
                throw LoadRefusal(errno: error.errno.rawValue, log: "")
            }
        }
        let answer = unsafe steering_bpf__load(opened)
        guard answer == 0 else {
            unsafe steering_bpf__destroy(opened)
            throw LoadRefusal(errno: -answer, log: log.tail)
        }
        unsafe skeleton = opened
        if case .resumed = pinning { self.pins = pins }
    }

    /// Gives the counters these names, in the place of those that they have.
    package mutating func pin(_ pins: Pins) {
        guard pins.directory != self.pins?.directory else { return }
        unpin()
        do throws(KernelError) {
            try unsafe pins.begin([skeleton.pointee.maps.guard_tallies!, skeleton.pointee.maps.meters!])
            pinning = .begun
            self.pins = pins
        } catch {
            pinning = .refused(error)
        }
    }

    /// From here on they end with this process.
    package mutating func unpin() {
        pins?.remove()
        pins = nil
        pinning = .notAsked
    }

    deinit { unsafe steering_bpf__destroy(skeleton) }

    /// What is attached to the interface that the program's name says.
    package func loaded(_ program: Program) -> LoadedProgram {
        let programs = unsafe skeleton.pointee.progs
        let loaded =
            switch program {
            case .tailnetIngress: unsafe programs.tailnet_ingress
            case .vpnIngress: unsafe programs.vpn_ingress
            case .insidePortIngress: unsafe programs.inside_port_ingress
            case .outsidePortIngress: unsafe programs.outside_port_ingress
            case .uplinkIngress: unsafe programs.uplink_ingress
            case .guardEgress: unsafe programs.guard_egress
            }
        let descriptor = unsafe bpf_program__fd(loaded)
        var facts = bpf_prog_info()
        var length = UInt32(MemoryLayout<bpf_prog_info>.size)
        _ = unsafe bpf_obj_get_info_by_fd(descriptor, &facts, &length)
        return LoadedProgram(descriptor: descriptor, number: facts.id)
    }

    /// The raw values are the names in `bpf/`.
    package enum Program: String, CaseIterable, Sendable {
        case tailnetIngress = "tailnet_ingress"
        case vpnIngress = "vpn_ingress"
        case insidePortIngress = "inside_port_ingress"
        case outsidePortIngress = "outside_port_ingress"
        case uplinkIngress = "uplink_ingress"
        case guardEgress = "guard_egress"

        /// Which way the packets go that meet it.
        package var direction: Filter.Direction { self == .guardEgress ? .egress : .ingress }
    }
}

/// A program in the kernel. The descriptor serves as long as the `Steering` that gave it.
package struct LoadedProgram: Sendable {
    package let descriptor: CInt
    /// By which the kernel lists what is attached.
    package let number: UInt32
}

// MARK: Ways

extension Steering {
    /// Lets the programs know the edges and how their packets begin. While closed, and before attaching: a program that
    /// does not know its edge yet cannot read what it should keep local.
    package func learn(_ ways: Ways) {
        let shared = unsafe cbpf_ways(skeleton)!
        unsafe shared.pointee.tailnet = steering_edge(ways.tailnet)
        unsafe shared.pointee.vpn = steering_edge(ways.vpn)
    }

    /// Closes the old ways, then opens these, if both edges are there.
    package func configure(_ ways: Ways) {
        close()
        learn(ways)
        guard ways.tailnet != nil, ways.vpn != nil else { return }
        let shared = unsafe cbpf_ways(skeleton)!
        unsafe shared.pointee.exit_ipv4 = ways.exitIPv4.map(steering_address.init) ?? steering_address()
        unsafe shared.pointee.exit_ipv6 = ways.exitIPv6.map(steering_address.init) ?? steering_address()
        // Whoever sees a port must see what belongs to it.
        atomicMemoryFence(ordering: .releasing)
        unsafe shared.pointee.inside_port = UInt32(ways.insidePort)
        unsafe shared.pointee.outside_port = UInt32(ways.outsidePort)
    }

    /// From now on drops everything that is ours: exit traffic, its answers, and what we write. The host's own traffic
    /// goes on.
    package func close() {
        let shared = unsafe cbpf_ways(skeleton)!
        unsafe shared.pointee.inside_port = 0
        unsafe shared.pointee.outside_port = 0
        atomicMemoryFence(ordering: .releasing)
    }

    /// Valid while this `Steering` lives.
    @unsafe package var liveBindings: LiveBindingMemory {
        unsafe LiveBindingMemory(
            tcpPorts: cbpf_live_tcp_ports(skeleton), udpPorts: cbpf_live_udp_ports(skeleton),
            queries: cbpf_live_queries(skeleton))
    }
}
