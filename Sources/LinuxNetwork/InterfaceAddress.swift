internal import CNetlink
import Glibc
package import LinuxSystem
package import PacketParse

/// An address that a link holds.
package struct InterfaceAddress: Hashable, Sendable {
    /// How far the address means anything (RFC 4007; `rt_scope` for IPv4).
    package enum Scope: Sendable { case host, link, global }

    package let address: IPAddress
    package let prefixLength: Int
    package let scope: Scope
    /// Not to be used for new conversations (RFC 4862, 5.5.4).
    package let isDeprecated: Bool
    /// Not to be used yet: duplicate detection runs, or found a duplicate (RFC 4862, 5.4).
    package let isTentative: Bool

    init?(_ reply: NetlinkReply) {
        guard let header = reply.header(ifaddrmsg.self) else { return nil }
        let attributes = reply.attributes(after: ifaddrmsg.self)
        // On a point-to-point link IFA_ADDRESS is the far end; IPv6 names IFA_LOCAL only there.
        guard let octets = attributes.octets(IFA_LOCAL) ?? attributes.octets(IFA_ADDRESS),
            let address = IPAddress(octets: octets)
        else { return nil }
        self.address = address
        prefixLength = Int(header.ifa_prefixlen)
        scope =
            switch UInt32(header.ifa_scope) {
            case RT_SCOPE_HOST.rawValue: .host
            case RT_SCOPE_LINK.rawValue: .link
            default: .global
            }
        let flags = attributes.integer(IFA_FLAGS) ?? UInt32(header.ifa_flags)
        isDeprecated = flags & UInt32(IFA_F_DEPRECATED) != 0
        isTentative = flags & UInt32(IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0
    }
}

extension Netlink {
    package func addresses(of link: Link) throws(KernelError) -> [InterfaceAddress] {
        // The kernel lists every link's addresses, whatever index it is given, unless the socket asks for strict checks.
        try socket.exchange(NetlinkRequest("RTM_GETADDR", RTM_GETADDR, link.name, flags: NLM_F_DUMP, ifaddrmsg()))
            .filter { $0.header(ifaddrmsg.self)?.ifa_index == UInt32(link.index) }
            .compactMap(InterfaceAddress.init)
    }

    /// Adds an address; EEXIST when the link holds it already. IPv6 is usable at once, without duplicate detection.
    package func add(_ address: IPAddress, prefixLength: Int, to link: Link) throws(KernelError) {
        let flags = NLM_F_CREATE | NLM_F_EXCL
        try change("RTM_NEWADDR", RTM_NEWADDR, flags, address, prefixLength, link)
    }

    package func remove(_ address: IPAddress, prefixLength: Int, from link: Link) throws(KernelError) {
        try change("RTM_DELADDR", RTM_DELADDR, 0, address, prefixLength, link)
    }

    private func change(
        _ call: StaticString, _ type: Int, _ flags: CInt, _ address: IPAddress, _ prefixLength: Int, _ link: Link
    ) throws(KernelError) {
        var header = ifaddrmsg()
        header.ifa_family = UInt8(address.family.rawValue)
        header.ifa_prefixlen = UInt8(clamping: prefixLength)
        header.ifa_flags = address.isV4 ? 0 : UInt8(IFA_F_NODAD)
        header.ifa_index = UInt32(bitPattern: link.index)
        var request = NetlinkRequest(call, type, "\(link.name) \(address)/\(prefixLength)", flags: flags, header)
        request.put(IFA_LOCAL, address.octets)
        request.put(IFA_ADDRESS, address.octets)
        try socket.exchange(request)
    }
}
