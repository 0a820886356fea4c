import LinuxNetwork
import LinuxSystem

private let remedy =
    "mount what this prints as Gluetun's /iptables/post-rules.txt and restart it, "
    + "or run it line by line: forwarder print gluetun-rules"

extension Probe {
    static let firewall = Probe(
        "firewall", "Does a firewall refuse what leaves by the uplink, or does one see exit traffic?", worst: .warning
    ) { surroundings throws(KernelError) in
        let chains = try NetfilterChain.all()
        if let uplink = surroundings.edges.uplink, surroundings.capabilities.contains(.netAdmin) {
            // Nobody's addresses: kept for documentation (RFC 5737, RFC 3849).
            for (family, address) in [("IPv4", "203.0.113.1"), ("IPv6", "2001:db8::1")] {
                for mark in FirewallNeeds.marks
                where try FirewallTrial.isRefused(by: uplink.name, mark: mark.mark.value, to: address) {
                    return .warning(
                        "a firewall here refuses \(mark.bearer) on \(uplink.name) (\(family), mark \(mark.mark))",
                        remedy: remedy)
                }
            }
        }
        if let tailnet = surroundings.edges.tailnet?.name {
            for chain in chains where chain.refusesInput {
                if try chain.isInterfaceNamed(tailnet) { continue }
                return .note(
                    "the nftables chain \(chain.table) \(chain.name) drops what it does not know, and its table names "
                        + "\(tailnet) nowhere: clients may not reach the node itself",
                    remedy: remedy)
            }
        }
        return judge(
            chains, legacyTables: kernelText("/proc/net/ip_tables_names"),
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
