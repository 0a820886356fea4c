internal import CBPF
package import PacketParse

/// Where packets go: the edges, our ports (interface indexes), and the vpn's addresses that answers come back to. As long
/// as an edge is missing, nowhere.
package struct Ways: Hashable, Sendable {
    /// What the programs must know of an interface that we attach to and do not own.
    package struct Edge: Hashable, Sendable {
        package let index: Int32
        /// Its packets begin with an Ethernet header; those of a tun or WireGuard interface begin with the IP header.
        package let isEthernet: Bool

        package init(index: Int32, isEthernet: Bool) {
            self.index = index
            self.isEthernet = isEthernet
        }
    }

    package let tailnet: Edge?
    package let vpn: Edge?
    package let insidePort: Int32
    package let outsidePort: Int32
    /// At most one of each family; a family without one has no answers of ours.
    package let exitIPv4: IPAddress?
    package let exitIPv6: IPAddress?

    package init(
        tailnet: Edge?, vpn: Edge?, insidePort: Int32, outsidePort: Int32, exitIPv4: IPAddress?, exitIPv6: IPAddress?
    ) {
        self.tailnet = tailnet
        self.vpn = vpn
        self.insidePort = insidePort
        self.outsidePort = outsidePort
        self.exitIPv4 = exitIPv4
        self.exitIPv6 = exitIPv6
    }
}

extension steering_address {
    init(_ address: IPAddress) {
        func word(_ shift: UInt128) -> UInt32 { UInt32(truncatingIfNeeded: address.bits >> shift).bigEndian }
        self.init(words: (word(96), word(64), word(32), word(0)))
    }
}

extension steering_edge {
    init(_ edge: Ways.Edge?) {
        self.init(index: UInt32(edge?.index ?? 0), is_ethernet: edge?.isEthernet == true ? 1 : 0)
    }
}
