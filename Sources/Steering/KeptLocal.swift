internal import CBPF
package import LinuxSystem
package import PacketParse

/// A destination prefix that stays with the host, in the trie's terms.
struct KeptPrefix: Hashable {
    let address: IPAddress
    /// Counted from the first of the sixteen octets.
    let mappedLength: Int
}

extension Steering {
    /// Makes these the destinations that `tailnet_ingress` leaves to the host: the node's own tailnet addresses,
    /// Tailscale's service addresses, and what the settings keep local. Lengths as written: 0...32 for IPv4.
    ///
    /// Adds before it removes, so a prefix that stays is never missing. Throws ENOSPC beyond 1,024 prefixes.
    package mutating func keepLocal(_ prefixes: [(address: IPAddress, length: Int)]) throws(KernelError) {
        let wanted = Set(
            prefixes.map { KeptPrefix(address: $0.address, mappedLength: $0.address.isV4 ? $0.length + 96 : $0.length) })
        for prefix in wanted.subtracting(kept) {
            var key = steering_prefix(prefix)
            var present: UInt8 = 1
            try check("BPF_MAP_UPDATE_ELEM", "kept local prefixes", unsafe bpf_map_update_elem(trie, &key, &present, 0))
            kept.insert(prefix)
        }
        for prefix in kept.subtracting(wanted) {
            var key = steering_prefix(prefix)
            try check("BPF_MAP_DELETE_ELEM", "kept local prefixes", unsafe bpf_map_delete_elem(trie, &key))
            kept.remove(prefix)
        }
    }

    private var trie: CInt { unsafe bpf_map__fd(skeleton.pointee.maps.kept_local) }
}

extension steering_prefix {
    fileprivate init(_ prefix: KeptPrefix) {
        self.init(length: UInt32(prefix.mappedLength), address: steering_address(prefix.address))
    }
}
