internal import CBPF
package import PacketParse

/// The tables by which `vpn_ingress` knows answers to our bindings from the host's own traffic.
///
/// They lie in the kernel's memory: a plain 8-byte store is seen by the next packet, and the programs see a word before
/// or after it, never half of it. One writer. The pointers serve as long as the `Steering` that gave them.
@unsafe
package struct LiveBindingMemory {
    /// One bit per port in host order: port p is bit `p & 63` of word `p >> 6`; 1,024 words each.
    package let tcpPorts: UnsafeMutablePointer<UInt64>
    package let udpPorts: UnsafeMutablePointer<UInt64>
    /// `LiveQuery.slots` words.
    package let queries: UnsafeMutablePointer<UInt64>
}

/// An ICMP echo that waits for its reply, as the programs' table knows it.
///
/// Open addressing: a fingerprint sits in the first slot that was free of `probes` from `fingerprint % slots`, wrapping.
/// Zero is a free slot; the programs look at every probe, so storing zero removes.
package enum LiveQuery {
    package static let slots = STEERING_QUERIES
    package static let probes = STEERING_QUERY_PROBES

    /// Never zero. Computed by the programs' own function, `steering_query_fingerprint` in `bpf/steering.h`.
    package static func fingerprint(remote: IPAddress, identifier: UInt16) -> UInt64 {
        steering_query_fingerprint(
            UInt64(truncatingIfNeeded: remote.bits >> 64), UInt64(truncatingIfNeeded: remote.bits), identifier)
    }
}
