internal import CBPF
import Glibc
package import LinuxNetwork
package import LinuxSystem
import PacketParse
import Synchronization

/// What the guard on the uplinks goes by (`bpf/guard.bpf.c`).
package struct GuardRules: Hashable, Sendable {
    /// A service of the host, whose answers may leave.
    package struct Service: Hashable, Sendable {
        package enum Transport: String, Sendable, CaseIterable { case tcp, udp }
        package let transport: Transport
        package let port: UInt16

        package init(_ transport: Transport, _ port: UInt16) {
            self.transport = transport
            self.port = port
        }
    }

    /// Lets pass what it would refuse, and counts it as leaked.
    package var observes = false
    /// The interfaces that it stands on: at most four; on any other it refuses everything.
    package var uplinks: [Ways.Edge] = []
    /// Of the VPN's own packets, exactly; at most four.
    package var vpnMarks: [UInt32] = []
    /// Where the VPN's server may be; at most eight.
    package var vpnEndpoints: [Endpoint] = []
    package var services: [Service] = []

    package init() {}
}

/// What became of packets at the guard of one uplink since the programs were loaded.
package struct GuardCount: Hashable, Sendable {
    /// Its number in `bpf/steering.h`.
    let verdict: UInt32
    /// As in `bpf/steering.h`: a class of what passes, or the reason of a refusal.
    package let name: String
    package let isRefusal: Bool
    /// Its index is 0 where the count is of uplinks that are gone.
    package let uplink: Ways.Edge
    package fileprivate(set) var tally: Tally
    /// Of refusals that were only observed.
    package fileprivate(set) var leaked: Tally

    /// The names of what passes.
    package static let classes = names { !cbpf_guard_verdict_is_refusal($0) }
    /// The names of reasons to refuse.
    package static let refusals = names { cbpf_guard_verdict_is_refusal($0) }

    private static func names(where isMeant: (steering_guard_verdict) -> Bool) -> [String] {
        (0..<STEERING_GUARD_VERDICT_COUNT.rawValue).map { steering_guard_verdict($0) }.filter(isMeant).map {
            unsafe String(cString: cbpf_guard_verdict_name($0))
        }
    }

    /// The same verdict of no uplink that is there, not yet counted.
    fileprivate var zero: GuardCount {
        GuardCount(
            verdict: verdict, name: name, isRefusal: isRefusal, uplink: .init(index: 0, isEthernet: false),
            tally: Tally(), leaked: Tally())
    }

    fileprivate static func += (sum: inout GuardCount, more: GuardCount) {
        sum.tally += more.tally
        sum.leaked += more.leaked
    }

    package struct Tally: Hashable, Sendable, Codable {
        package var packets: UInt64
        /// On the wire, with the link layer's header; those of each segment of a super-packet.
        package var bytes: UInt64

        package init(packets: UInt64 = 0, bytes: UInt64 = 0) {
            self.packets = packets
            self.bytes = bytes
        }

        package static func += (sum: inout Tally, more: Tally) {
            sum.packets += more.packets
            sum.bytes += more.bytes
        }

        static func - (now: Tally, before: Tally) -> Tally {
            Tally(packets: now.packets &- before.packets, bytes: now.bytes &- before.bytes)
        }
    }
}

extension Steering {
    /// Of the uplinks that the guard knows.
    package static var uplinkLimit: Int { Int(STEERING_UPLINKS) }

    /// Has the guard go by these from now on. What is dropped from the rules is not let pass any more before anything new is.
    package mutating func guardUplinks(by rules: GuardRules) {
        guard rules != guardRules else { return }
        guardRules = rules
        let shared = unsafe cbpf_guard(skeleton)!
        let endpoints = unsafe cbpf_endpoints(shared)!
        for index in 0..<Int(STEERING_ENDPOINTS) {
            // The first without a port is the end of them.
            let endpoint = index < rules.vpnEndpoints.count ? rules.vpnEndpoints[index] : nil
            // None, until both of its parts are there.
            unsafe endpoints[index].port = 0
            atomicMemoryFence(ordering: .releasing)
            unsafe endpoints[index].address = endpoint.map { steering_address($0.address) } ?? steering_address()
            atomicMemoryFence(ordering: .releasing)
            unsafe endpoints[index].port = UInt32(endpoint?.port ?? 0)
        }
        let marks = unsafe cbpf_vpn_marks(shared)!
        for index in 0..<Int(STEERING_VPN_MARKS) {
            unsafe marks[index] = index < rules.vpnMarks.count ? rules.vpnMarks[index] : 0
        }
        assignPlaces(to: rules.uplinks)
        let uplinks = unsafe cbpf_uplinks(shared)!
        for (place, uplink) in guardPlaces.enumerated() { unsafe uplinks[place] = steering_edge(uplink) }
        var words: [Int: UInt64] = [:]
        for service in rules.services {
            let bit = Int(service.port) + (service.transport == .udp ? 0x10000 : 0)
            words[bit >> 6, default: 0] |= 1 << UInt64(bit & 63)
        }
        let services = unsafe cbpf_services(shared)!
        // Pages of services that nobody has stay untouched.
        for index in 0..<2 * Int(STEERING_PORT_WORDS) where unsafe services[index] != words[index] ?? 0 {
            unsafe services[index] = words[index] ?? 0
        }
        unsafe shared.pointee.observes = rules.observes ? 1 : 0
    }

    /// An uplink keeps its place, and with it its counts, as long as it is one; who takes the place of another begins anew.
    private mutating func assignPlaces(to uplinks: [Ways.Edge]) {
        for (place, former) in guardPlaces.enumerated() {
            guard let former, !uplinks.contains(former) else { continue }
            for count in (try? guardCounts(at: place, of: former)) ?? [] {
                guardedFormerly[count.verdict, default: count.zero] += count
            }
            guardPlaces[place] = nil
        }
        for uplink in uplinks where !guardPlaces.contains(uplink) {
            guard let free = guardPlaces.firstIndex(of: nil) else { return }
            // The counters themselves go on: a bill is made of them.
            guardedBefore[free] = (try? guardTallies(at: free)) ?? []
            guardPlaces[free] = uplink
        }
    }

    /// Of every verdict, on every uplink, and of those that are gone, since the programs were loaded.
    package func guardCounts() throws(KernelError) -> [GuardCount] {
        var counts = Array(guardedFormerly.values)
        for (place, uplink) in guardPlaces.enumerated() {
            guard let uplink else { continue }
            counts += try guardCounts(at: place, of: uplink)
        }
        return counts
    }

    private func guardCounts(at place: Int, of uplink: Ways.Edge) throws(KernelError) -> [GuardCount] {
        let before = guardedBefore[place]
        return try guardTallies(at: place).enumerated().map { index, tally in
            let verdict = steering_guard_verdict(UInt32(index))
            let since = before.isEmpty ? tally : tally - before[index]
            return GuardCount(
                verdict: UInt32(index), name: unsafe String(cString: cbpf_guard_verdict_name(verdict)),
                isRefusal: cbpf_guard_verdict_is_refusal(verdict), uplink: uplink, tally: since.met,
                leaked: since.leaked)
        }
    }

    /// What a place has counted, by verdict, whoever's place it was.
    func guardTallies(at place: Int) throws(KernelError) -> [GuardTally] {
        try Self.guardTallies(at: place, in: unsafe bpf_map__fd(skeleton.pointee.maps.guard_tallies))
    }

    static func guardTallies(at place: Int, in map: CInt) throws(KernelError) -> [GuardTally] {
        var perCPU = [steering_tally](repeating: steering_tally(), count: try processors())
        var tallies: [GuardTally] = []
        for verdict in 0..<STEERING_GUARD_VERDICT_COUNT.rawValue {
            var key = UInt32(place) * STEERING_GUARD_VERDICT_COUNT.rawValue + verdict
            try check("BPF_MAP_LOOKUP_ELEM", "guard", unsafe bpf_map_lookup_elem(map, &key, &perCPU))
            tallies.append(
                GuardTally(
                    met: .init(
                        packets: perCPU.reduce(0) { $0 &+ $1.packets }, bytes: perCPU.reduce(0) { $0 &+ $1.bytes }),
                    leaked: .init(
                        packets: perCPU.reduce(0) { $0 &+ $1.leaked_packets },
                        bytes: perCPU.reduce(0) { $0 &+ $1.leaked_bytes })))
        }
        return tallies
    }

    /// Of which a counter per CPU has one each. Read from a file of the kernel's, so it can fail, for want of a descriptor for
    /// example.
    static func processors() throws(KernelError) -> Int {
        Int(try check("libbpf_num_possible_cpus", "counters", libbpf_num_possible_cpus()))
    }
}

/// What one place has counted of one verdict: packets that met it, and those of them that were only observed.
struct GuardTally {
    let met: GuardCount.Tally
    let leaked: GuardCount.Tally

    static func - (now: GuardTally, before: GuardTally) -> GuardTally {
        GuardTally(met: now.met - before.met, leaked: now.leaked - before.leaked)
    }
}

extension PacketMark {
    /// Tailscale's, on its own sockets.
    package static let bypass = PacketMark(STEERING_BYPASS_MARK, mask: STEERING_BYPASS_MASK)
    /// Ours, on the control plane.
    package static let control = PacketMark(STEERING_CONTROL_MARK, mask: STEERING_OUR_MASK)
    /// Ours, on what the stub resolver asks over the uplink.
    package static let question = PacketMark(STEERING_QUESTION_MARK, mask: STEERING_OUR_MASK)
}
