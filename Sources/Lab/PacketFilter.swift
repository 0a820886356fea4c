/// The kernel's packet filters that rules get into. A packet must pass all of them: what one accepts, another may drop.
package enum PacketFilter: String, CaseIterable, Sendable {
    /// iptables' own, of old.
    case legacy = "iptables-legacy"
    /// nftables, by iptables' compatible words, in tables that iptables names.
    case iptablesOverNFT = "iptables-nft"
    /// nftables, by its own.
    case nftables

    /// The program that puts rules in, for one IP version; nothing where that is not iptables.
    func iptables(_ family: String) -> String? {
        switch self {
        case .legacy: family == "-4" ? "iptables-legacy" : "ip6tables-legacy"
        case .iptablesOverNFT: family == "-4" ? "iptables-nft" : "ip6tables-nft"
        case .nftables: nil
        }
    }
}

extension LabHost {
    /// Adds rules in the words of iptables-restore(8) to what is there, for one IP version.
    func restore(_ rules: String, by program: String) throws(LabFailure) {
        try run(["\(program)-restore", "--noflush"], input: rules + "\n")
    }

    /// Empties iptables' tables and accepts everything again.
    func clearIPTables(by program: String) throws(LabFailure) {
        let tables = ["filter", "nat", "mangle"]
        for table in tables {
            try run([program, "-t", table, "-F"])
            try run([program, "-t", table, "-X"])
        }
        for chain in ["INPUT", "OUTPUT", "FORWARD"] { try run([program, "-P", chain, "ACCEPT"]) }
    }
}
