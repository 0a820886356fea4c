internal import CNetlink
package import LinuxSystem
package import PacketParse

/// Next hops whose hardware address the kernel keeps resolved.
extension Netlink {
    /// Makes `address` a managed neighbour: the kernel resolves it now and again before it goes stale, so that a look-up
    /// from eBPF, which never resolves by itself, always finds it. Since Linux 5.16.
    ///
    /// False when the kernel does not manage neighbours: older ones take the request and pass over the flag.
    package func manageNeighbour(_ address: IPAddress, on link: Link) throws(KernelError) -> Bool {
        let subject = "\(link.name) \(address)"
        var request = NetlinkRequest(
            "RTM_NEWNEIGH", RTM_NEWNEIGH, subject, flags: NLM_F_CREATE | NLM_F_REPLACE, header(address, link))
        request.put(Int(NDA_DST), address.octets)
        request.put(Int(NDA_FLAGS_EXT), UInt32(NTF_EXT_MANAGED))
        do { try socket.exchange(request) } catch {
            if error.errno == .invalidArgument { return false }
            throw error
        }
        var question = NetlinkRequest("RTM_GETNEIGH", RTM_GETNEIGH, subject, header(address, link))
        question.put(Int(NDA_DST), address.octets)
        let attributes = try socket.exchange(question).first?.attributes(after: ndmsg.self)
        let flags = attributes?.integer(Int(NDA_FLAGS_EXT), UInt32.self) ?? 0
        return flags & UInt32(NTF_EXT_MANAGED) != 0
    }

    /// Forgets a neighbour; ENOENT when the kernel knows none of that address.
    package func removeNeighbour(_ address: IPAddress, on link: Link) throws(KernelError) {
        var request = NetlinkRequest("RTM_DELNEIGH", RTM_DELNEIGH, "\(link.name) \(address)", header(address, link))
        request.put(Int(NDA_DST), address.octets)
        try socket.exchange(request)
    }

    private func header(_ address: IPAddress, _ link: Link) -> ndmsg {
        var header = ndmsg()
        header.ndm_family = UInt8(address.family.rawValue)
        header.ndm_ifindex = link.index
        return header
    }
}
