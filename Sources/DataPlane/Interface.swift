package import PacketParse

/// One of the node's two interfaces, as a router knows it: an address per family where it has one, and the longest packet
/// that it takes.
package struct Interface: Sendable, Equatable, BitwiseCopyable {
    // `unspecified` is "none": the mapped form spares an optional per packet.
    private let addressV4: IPAddress
    private let addressV6: IPAddress
    /// Octets of an IP packet.
    package let mtu: Int

    package init(v4: IPAddress?, v6: IPAddress?, mtu: Int) {
        addressV4 = v4 ?? .unspecified
        addressV6 = v6 ?? .unspecified
        self.mtu = mtu
    }

    package var v4: IPAddress? { addressV4 == .unspecified ? nil : addressV4 }
    package var v6: IPAddress? { addressV6 == .unspecified ? nil : addressV6 }

    /// The address of a family, `unspecified` where there is none.
    @inline(always) func address(isV4: Bool) -> IPAddress { isV4 ? addressV4 : addressV6 }
}
