internal import CBPF
package import LinuxSystem

/// Bytes for the bill, as the programs have counted them: never cleared, so that a bill is made of differences. With pins they
/// go on from one process to the next.
package struct MeterReading: Hashable, Sendable {
    /// By which the kernel knows the map: of another, or after a reboot, differences mean nothing.
    package let map: UInt32
    /// What left by the uplinks, by class as in `bpf/steering.h`, and `leaked`: what a guard that only observes let pass.
    package fileprivate(set) var egress: [String: GuardCount.Tally] = [:]
    /// What the uplinks brought, by class, and the clients' own inside the tunnel: the names of `bpf/steering.h`.
    package fileprivate(set) var meters: [String: GuardCount.Tally] = [:]

    private init(map: UInt32) { self.map = map }
}

extension Steering {
    /// What has been counted up to now: some fifty system calls.
    package func readMeters() throws(KernelError) -> MeterReading {
        let maps = unsafe skeleton.pointee.maps
        return try MeterReading(
            of: unsafe bpf_map__fd(maps.meters), besideGuards: unsafe bpf_map__fd(maps.guard_tallies))
    }
}

extension MeterReading {
    /// - Parameters:
    ///   - map: the descriptor of `meters`; `guards` of `guard_tallies`.
    init(of map: CInt, besideGuards guards: CInt) throws(KernelError) {
        self.init(map: try Self.number(ofMap: map))
        for place in 0..<Steering.uplinkLimit {
            for (index, tally) in try Steering.guardTallies(at: place, in: guards).enumerated() {
                let verdict = steering_guard_verdict(UInt32(index))
                if cbpf_guard_verdict_is_refusal(verdict) {
                    egress["leaked", default: .init()] += tally.leaked
                } else {
                    egress[unsafe String(cString: cbpf_guard_verdict_name(verdict)), default: .init()] += tally.met
                }
            }
        }
        var perCPU = [steering_count](repeating: steering_count(), count: try Steering.processors())
        for index in 0..<STEERING_METER_COUNT.rawValue {
            var key = index
            try check("BPF_MAP_LOOKUP_ELEM", "meters", unsafe bpf_map_lookup_elem(map, &key, &perCPU))
            meters[unsafe String(cString: cbpf_meter_name(steering_meter(index)))] =
                .init(packets: perCPU.reduce(0) { $0 &+ $1.packets }, bytes: perCPU.reduce(0) { $0 &+ $1.bytes })
        }
    }

    static func number(ofMap descriptor: CInt) throws(KernelError) -> UInt32 {
        var facts = bpf_map_info()
        var length = UInt32(MemoryLayout<bpf_map_info>.size)
        try check(
            "BPF_OBJ_GET_INFO_BY_FD", "meters", unsafe bpf_obj_get_info_by_fd(descriptor, &facts, &length))
        return facts.id
    }
}
