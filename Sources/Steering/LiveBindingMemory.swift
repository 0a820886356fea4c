internal import CBPF

/// The tables by which `vpn_ingress` knows answers to our bindings from the host's own traffic.
///
/// They lie in the kernel's memory: a plain 8-byte store is seen by the next packet, and the programs see a word before
/// or after it, never half of it. One writer. The pointers serve as long as the `Steering` that gave them.
@unsafe
package struct LiveBindingMemory {
    /// One bit per port in host order: port p is bit `p & 63` of word `p >> 6`; 1,024 words each.
    package let tcpPorts: UnsafeMutablePointer<UInt64>
    package let udpPorts: UnsafeMutablePointer<UInt64>
    /// Fingerprints of ICMP queries, placed as `bpf/vpn_ingress.bpf.c` says.
    package let queries: UnsafeMutablePointer<UInt64>
    package let queryCount = STEERING_QUERIES
}
