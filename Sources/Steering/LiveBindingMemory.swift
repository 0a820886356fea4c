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
    /// Open addressing: a fingerprint sits in the first slot that was free of the `queryProbes` from
    /// `fingerprint % queryCount`, wrapping. Zero is a free slot; the programs look at all probes, so storing zero removes.
    package let queries: UnsafeMutablePointer<UInt64>

    package static let queryCount = STEERING_QUERIES
    package static let queryProbes = STEERING_QUERY_PROBES

    /// What stands for an ICMP echo to `remote` in the table, computed by the programs' own function.
    package static func fingerprint(remote: IPAddress, identifier: UInt16) -> UInt64 {
        steering_query_fingerprint(
            UInt64(truncatingIfNeeded: remote.bits >> 64), UInt64(truncatingIfNeeded: remote.bits), identifier)
    }
}
