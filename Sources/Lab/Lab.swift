/// Something of each IP version, e.g. a host's two addresses.
package struct DualStack: Equatable, Sendable {
    package let v4: String
    package let v6: String

    package init(v4: String, v6: String) {
        self.v4 = v4
        self.v6 = v6
    }
}

/// A small internet in which a node stands between a tailnet and a VPN.
///
/// A fresh lab moves nothing through the node: that is left to what is tested, or to the kernel for comparison. It ends
/// with its last reference, or with this process.
package protocol Lab: AnyObject, Sendable {
    /// The device of the person; its default route is the node.
    var client: LabHost { get }
    /// Where the forwarder runs, between its edges `tailscale0` and `tun0`.
    var node: LabHost { get }
    /// Where the answers come from.
    var internet: LabHost { get }

    /// The client's in the tailnet: it must never be seen beyond the node.
    var clientAddress: DualStack { get }
    /// The node's own in the tailnet.
    var nodeAddress: DualStack { get }
    /// The node's own on the VPN, which the forwarder borrows for its flows.
    var exitAddress: DualStack { get }
    /// What the internet must see.
    var seenAddress: DualStack { get }
    var internetAddress: DualStack { get }

    /// Lets the node's kernel forward and masquerade, with bare nftables and nothing else: the comparison.
    func enableKernelRouting() throws(LabFailure)
    func disableKernelRouting() throws(LabFailure)
}

/// The labs there are: what holds between plain edges must hold between tunnels.
package enum LabKind: String, CaseIterable, Sendable {
    case plain, wireGuard

    package func make() throws(LabFailure) -> any Lab {
        switch self {
        case .plain: try PlainLab()
        case .wireGuard: try WireGuardLab()
        }
    }
}

extension Lab {
    package var tailnetEdge: String { "tailscale0" }
    package var vpnEdge: String { "tun0" }
}

extension LabHost {
    /// Forwards between its interfaces and hides what leaves by one of them behind that one's address.
    func startMasquerading(outOf interface: String) throws(LabFailure) {
        try set("net/ipv4/ip_forward", to: "1")
        try set("net/ipv6/conf/all/forwarding", to: "1")
        try nft(
            """
            table inet lab {
                chain leaving {
                    type nat hook postrouting priority srcnat;
                    oifname "\(interface)" masquerade
                }
            }
            """)
    }

    func stopMasquerading() throws(LabFailure) {
        try nft("delete table inet lab")
        try set("net/ipv4/ip_forward", to: "0")
        try set("net/ipv6/conf/all/forwarding", to: "0")
    }
}
