internal import CBPF
package import LinuxNetwork
package import LinuxSystem

extension Steering {
    /// Makes these the destinations that `tailnet_ingress` leaves to the host: the node's own tailnet addresses,
    /// Tailscale's service addresses, and what the settings keep local.
    ///
    /// Adds before it removes, so a prefix that stays is never missing. Throws ENOSPC beyond 1,024 prefixes.
    package mutating func keepLocal(_ prefixes: [IPPrefix]) throws(KernelError) {
        let wanted = Set(prefixes)
        for prefix in wanted.subtracting(kept) {
            var key = steering_prefix(prefix)
            var present: UInt8 = 1
            try check("BPF_MAP_UPDATE_ELEM", "\(prefix)", unsafe bpf_map_update_elem(trie, &key, &present, 0))
            kept.insert(prefix)
        }
        for prefix in kept.subtracting(wanted) {
            var key = steering_prefix(prefix)
            try check("BPF_MAP_DELETE_ELEM", "\(prefix)", unsafe bpf_map_delete_elem(trie, &key))
            kept.remove(prefix)
        }
    }

    private var trie: CInt { unsafe bpf_map__fd(skeleton.pointee.maps.kept_local) }
}

extension steering_prefix {
    fileprivate init(_ prefix: IPPrefix) {
        let mapped = prefix.address.isV4 ? 96 : 0
        self.init(length: UInt32(mapped + prefix.length), address: steering_address(prefix.address))
    }
}
