internal import CNetlink
import Glibc
package import LinuxSystem
internal import SystemPackage

/// A base chain of nftables: a list of rules at a hook of the kernel. What iptables made by its nft backend is among them.
package struct NetfilterChain: Hashable, Sendable {
    package let table: String
    package let name: String
    /// Of its table (`NFPROTO_INET`, `NFPROTO_IPV4` and others): two may have one name.
    let family: UInt8
    /// At the egress of interfaces. From Linux 5.16; what a program redirects at an ingress does not meet it.
    package let isEgress: Bool
    /// For packets to the host itself, and what none of its rules decides about is dropped.
    package let refusesInput: Bool
    /// The interfaces that the chain is bound to; only chains of the family `netdev` are.
    package let interfaces: [String]

    /// Nil for a chain that no hook leads to.
    init?(_ reply: NetlinkReply) {
        guard let header = reply.header(nfgenmsg.self) else { return nil }
        let attributes = reply.attributes(after: nfgenmsg.self)
        guard let table = attributes.text(Int(NFTA_CHAIN_TABLE.rawValue)),
            let name = attributes.text(Int(NFTA_CHAIN_NAME.rawValue)),
            let hook = attributes.nested(Int(NFTA_CHAIN_HOOK.rawValue)),
            let number = hook.integer(Int(NFTA_HOOK_HOOKNUM.rawValue), UInt32.self)
        else { return nil }
        self.table = table
        self.name = name
        family = header.nfgen_family
        let policy = attributes.integer(Int(NFTA_CHAIN_POLICY.rawValue), UInt32.self)
        refusesInput =
            [NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6].contains(Int(family))
            && UInt32(bigEndian: number) == UInt32(NF_INET_LOCAL_IN.rawValue)
            && policy.map(UInt32.init(bigEndian:)) == UInt32(NF_DROP)
        isEgress =
            UInt32(header.nfgen_family) == UInt32(NFPROTO_NETDEV)
            && UInt32(bigEndian: number) == UInt32(NF_NETDEV_EGRESS.rawValue)
        let single = hook.text(Int(NFTA_HOOK_DEV.rawValue)).map { [$0] } ?? []
        let several = hook.nested(Int(NFTA_HOOK_DEVS.rawValue))?.texts(Int(NFTA_DEVICE_NAME.rawValue)) ?? []
        interfaces = single.isEmpty ? several : single
    }

    /// Those of this network namespace; none where the kernel has no nftables. Listing takes CAP_NET_ADMIN.
    package static func all() throws(KernelError) -> [NetfilterChain] {
        do {
            let socket = try NetlinkSocket(.netfilter)
            return try socket.exchange(
                NetlinkRequest(
                    "NFT_MSG_GETCHAIN", Int(cnetlink_nftables_message(CInt(NFT_MSG_GETCHAIN.rawValue))), "chains",
                    flags: NLM_F_DUMP, nfgenmsg())
            ).compactMap(NetfilterChain.init)
        } catch {
            guard [EPROTONOSUPPORT, EOPNOTSUPP, EINVAL].contains(error.errno.rawValue) else { throw error }
            return []
        }
    }

    /// Whether a rule of its table, in whichever of its chains, names the interface; what it says of it is not read.
    package func isInterfaceNamed(_ interface: String) throws(KernelError) -> Bool {
        let socket = try NetlinkSocket(.netfilter)
        var header = nfgenmsg()
        header.nfgen_family = family
        let rules = try socket.exchange(
            NetlinkRequest(
                "NFT_MSG_GETRULE", Int(cnetlink_nftables_message(CInt(NFT_MSG_GETRULE.rawValue))), "rules",
                flags: NLM_F_DUMP, header))
        let name = Array(interface.utf8) + [0]
        return rules.contains { reply in
            let attributes = reply.attributes(after: nfgenmsg.self)
            return attributes.text(Int(NFTA_RULE_TABLE.rawValue)) == table
                && attributes.octets(Int(NFTA_RULE_EXPRESSIONS.rawValue))?.firstRange(of: name) != nil
        }
    }
}
