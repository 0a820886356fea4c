internal import CNetlink
import Glibc
package import LinuxSystem

/// A network interface, as it was when the kernel was asked.
package struct Link: Hashable, Sendable {
    package let index: Int32
    package let name: String
    /// Octets of the longest IP packet that it takes.
    package let mtu: UInt32
    /// Administratively up; says nothing of a carrier.
    package let isUp: Bool
    package let isLoopback: Bool
    /// Its packets begin with an Ethernet header. Tunnels (tun, WireGuard) begin with the IP header.
    package let isEthernet: Bool
    /// Packets that may wait for the link.
    package let transmitQueueLength: UInt32
    /// What makes it, by the kernel's word: `tun`, `wireguard`, `veth`; none for hardware.
    package let kind: String?
    /// Packets that came in by it: out of a tunnel, those that its other end sent.
    package let receivedPackets: UInt64
    /// Packets that the link was given to send and dropped: for a tun, those its queue had no room for.
    package let transmitDrops: UInt64
    /// The XDP program that meets its packets before all else.
    package let xdp: XDPProgram?

    package struct XDPProgram: Hashable, Sendable {
        /// Who hands it the packets; the raw values are ip-link(8)'s words.
        package enum Mode: String, CaseIterable, Sendable {
            case generic = "xdpgeneric"
            case driver = "xdpdrv"
            case hardware = "xdpoffload"
        }

        package let mode: Mode
        /// By which the kernel lists it.
        package let number: UInt32

        package init(_ mode: Mode, number: UInt32) {
            self.mode = mode
            self.number = number
        }
    }

    init?(_ reply: NetlinkReply) {
        guard let header = reply.header(ifinfomsg.self) else { return nil }
        let attributes = reply.attributes(after: ifinfomsg.self)
        guard let name = attributes.text(IFLA_IFNAME) else { return nil }
        index = header.ifi_index
        self.name = name
        mtu = attributes.integer(IFLA_MTU) ?? 0
        transmitQueueLength = attributes.integer(IFLA_TXQLEN) ?? 0
        isUp = header.ifi_flags & UInt32(IFF_UP) != 0
        isLoopback = header.ifi_flags & UInt32(IFF_LOOPBACK) != 0
        isEthernet = CInt(header.ifi_type) == ARPHRD_ETHER
        kind = attributes.nested(IFLA_LINKINFO)?.text(IFLA_INFO_KIND)
        // struct rtnl_link_stats64 is 64-bit words.
        let statistics = attributes.octets(IFLA_STATS64) ?? []
        func word(_ index: Int) -> UInt64 {
            statistics.dropFirst(index * 8).prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        receivedPackets = word(0)
        transmitDrops = word(7)
        let programs = attributes.nested(IFLA_XDP)
        xdp =
            XDPProgram.Mode.allCases.compactMap { mode in
                programs?.integer(mode.attribute).map { XDPProgram(mode, number: $0) }
            }
            .first
    }
}

extension Link.XDPProgram.Mode {
    /// Which tells the program's number.
    fileprivate var attribute: Int {
        switch self {
        case .generic: IFLA_XDP_SKB_PROG_ID
        case .driver: IFLA_XDP_DRV_PROG_ID
        case .hardware: IFLA_XDP_HW_PROG_ID
        }
    }
}

extension Netlink {
    package func links() throws(KernelError) -> [Link] {
        try socket.exchange(NetlinkRequest("RTM_GETLINK", RTM_GETLINK, "links", flags: NLM_F_DUMP, ifinfomsg()))
            .compactMap(Link.init)
    }

    /// The link of that name, nil when there is none now.
    package func link(named name: String) throws(KernelError) -> Link? {
        var request = NetlinkRequest("RTM_GETLINK", RTM_GETLINK, name, ifinfomsg())
        request.put(IFLA_IFNAME, name)
        return try link(request)
    }

    /// The link of that index, nil when there is none now.
    package func link(index: Int32) throws(KernelError) -> Link? {
        try link(NetlinkRequest("RTM_GETLINK", RTM_GETLINK, "index \(index)", header(index)))
    }

    private func link(_ request: consuming NetlinkRequest) throws(KernelError) -> Link? {
        do { return try socket.exchange(request).compactMap(Link.init).first } catch {
            if error.errno.rawValue == ENODEV { return nil }
            throw error
        }
    }

    package func bringUp(_ link: Link) throws(KernelError) {
        var header = header(link.index)
        header.ifi_flags = UInt32(IFF_UP)
        header.ifi_change = UInt32(IFF_UP)
        try socket.exchange(NetlinkRequest("RTM_NEWLINK", RTM_NEWLINK, link.name, header))
    }

    package func setMTU(_ mtu: UInt32, of link: Link) throws(KernelError) {
        var request = NetlinkRequest("RTM_NEWLINK", RTM_NEWLINK, link.name, header(link.index))
        request.put(IFLA_MTU, mtu)
        try socket.exchange(request)
    }

    /// How many packets wait in the link before it drops; a tun has no other back-pressure.
    package func setTransmitQueueLength(_ packets: UInt32, of link: Link) throws(KernelError) {
        var request = NetlinkRequest("RTM_NEWLINK", RTM_NEWLINK, link.name, header(link.index))
        request.put(IFLA_TXQLEN, packets)
        try socket.exchange(request)
    }

    /// Keeps the kernel from giving the link an IPv6 link-local address, and so from soliciting routers on it.
    ///
    /// To be set while the link is down: an address it already has, it keeps.
    package func disableAddressGeneration(on link: Link) throws(KernelError) {
        var request = NetlinkRequest("RTM_NEWLINK", RTM_NEWLINK, link.name, header(link.index))
        request.nest(IFLA_AF_SPEC) { families in
            families.nest(Int(AF_INET6)) { $0.put(IFLA_INET6_ADDR_GEN_MODE, UInt8(IN6_ADDR_GEN_MODE_NONE.rawValue)) }
        }
        do { try socket.exchange(request) } catch {
            // A kernel without IPv6 (ipv6.disable=1) has nothing to keep silent.
            guard error.errno == .addressFamilyNotSupported else { throw error }
        }
    }

    private func header(_ index: Int32) -> ifinfomsg {
        var header = ifinfomsg()
        header.ifi_index = index
        return header
    }
}
