internal import CBPF
package import LinuxSystem

/// How many packets met one verdict since the programs were loaded; a super-packet is one.
package struct VerdictCount: Hashable, Sendable {
    /// As in `bpf/steering.h`: `tailnet_to_port`, `vpn_to_host`, `inside_closed`.
    package let name: String
    /// Whether the packets went nowhere.
    package let isDrop: Bool
    package let packets: UInt64
}

extension VerdictCount {
    /// Of the verdicts by which packets go nowhere.
    package static let dropNames: [String] = (0..<STEERING_VERDICT_COUNT.rawValue).map { steering_verdict($0) }
        .compactMap {
            cbpf_verdict_is_drop($0) ? unsafe String(cString: cbpf_verdict_name($0)) : nil
        }
}

extension Steering {
    /// All verdicts, in the order of the programs' list, those of no packet included.
    package func verdicts() throws(KernelError) -> [VerdictCount] {
        let map = unsafe bpf_map__fd(skeleton.pointee.maps.verdicts)
        var perCPU = [UInt64](repeating: 0, count: try Self.processors())
        var counts: [VerdictCount] = []
        for index in 0..<STEERING_VERDICT_COUNT.rawValue {
            var key = index
            try check("BPF_MAP_LOOKUP_ELEM", "verdicts", unsafe bpf_map_lookup_elem(map, &key, &perCPU))
            let verdict = steering_verdict(index)
            counts.append(
                VerdictCount(
                    name: unsafe String(cString: cbpf_verdict_name(verdict)), isDrop: cbpf_verdict_is_drop(verdict),
                    packets: perCPU.reduce(0, &+)))
        }
        return counts
    }
}
