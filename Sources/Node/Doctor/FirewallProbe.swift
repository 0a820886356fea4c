import LinuxNetwork
import LinuxSystem

extension Probe {
    static let firewall = Probe(
        "firewall", "Does a firewall see exit traffic, though it passes by the host's IP stack?", worst: .note
    ) { surroundings throws(KernelError) in
        judge(
            try NetfilterChain.all(), legacyTables: kernelText("/proc/net/ip_tables_names"),
            edges: [surroundings.edges.tailnet, surroundings.edges.vpn].compactMap { $0?.name })
    }

    /// - Parameter legacyTables: those of iptables' old backend, one a line.
    static func judge(_ chains: [NetfilterChain], legacyTables: String?, edges: [String]) -> Finding {
        for chain in chains where chain.isEgress {
            guard let edge = edges.first(where: chain.interfaces.contains) else { continue }
            // The kernel marks what tc takes in at one interface and sends out by another (nf_skip_egress).
            return .note(
                "the nftables chain \(chain.table) \(chain.name) sees what the host itself sends by \(edge), not exit traffic",
                remedy:
                    "if it was made for exit traffic, it does nothing: nft delete chain netdev \(chain.table) \(chain.name)"
            )
        }
        let legacy = (legacyTables ?? "").split(separator: "\n").count
        if chains.isEmpty, legacy == 0 { return .ok("no firewall is here") }
        return .ok(
            "\(chains.count) chains of nftables and \(legacy) tables of the old iptables are here, "
                + "and none sees exit traffic, whatever INPUT and FORWARD say")
    }
}
