internal import CNetlink
import Glibc
package import LinuxSystem

/// An eBPF program at a link's clsact hook, by where it stands and the name that we gave it.
package struct Filter: Hashable, Sendable {
    /// Which way the packets go that the program sees: `ingress` comes from the link, `egress` leaves by it.
    package enum Direction: CaseIterable, Sendable { case ingress, egress }

    package let direction: Direction
    /// Programs of one direction run in this order, the smallest first.
    package let priority: UInt16
    /// Tells filters of one priority apart; not 0, which would let the kernel choose.
    package let handle: UInt32
    /// Empty for what others attached without a name, filters that are no programs among them.
    package let name: String

    package init(_ name: String, _ direction: Direction, priority: UInt16, handle: UInt32) {
        self.direction = direction
        self.priority = priority
        self.handle = handle
        self.name = name
    }

    /// Nil for the entry without a handle, which stands for a priority as a whole.
    init?(_ reply: NetlinkReply, _ direction: Direction) {
        guard let header = reply.header(tcmsg.self), header.tcm_handle != 0 else { return nil }
        let attributes = reply.attributes(after: tcmsg.self)
        self.direction = direction
        priority = UInt16(header.tcm_info >> 16)
        handle = header.tcm_handle
        // Under another kind the same number means another thing.
        let isProgram = attributes.text(TCA_KIND) == Filter.kind
        name = (isProgram ? attributes.nested(TCA_OPTIONS)?.text(TCA_BPF_NAME) : nil) ?? ""
    }

    fileprivate static let kind = "bpf"
}

/// Programs at the hooks of a clsact, or of its forerunner `ingress`, which has but one: asked for egress, it takes and
/// lists what is at its ingress. They outlive who attached them, and end with the link. Listing needs no capability.
extension Netlink {
    /// Gives the link its hooks for programs; one that has some keeps them, with all that is attached. Also where that is
    /// `ingress`, which serves for a program at its ingress alone.
    package func addClsact(to link: Link) throws(KernelError) {
        var request = NetlinkRequest(
            "RTM_NEWQDISC", RTM_NEWQDISC, link.name, flags: NLM_F_CREATE | NLM_F_EXCL, clsactHeader(link))
        request.put(TCA_KIND, "clsact")
        do { try socket.exchange(request) } catch {
            guard error.errno == .fileExists else { throw error }
        }
    }

    /// Takes clsact's hooks away, with every program at them, ours or not; EINVAL or ENOENT when there are none.
    package func removeClsact(from link: Link) throws(KernelError) {
        var request = NetlinkRequest("RTM_DELQDISC", RTM_DELQDISC, link.name, clsactHeader(link))
        // Without the kind, the kernel would remove an `ingress` as well: it stands in the same place.
        request.put(TCA_KIND, "clsact")
        try socket.exchange(request)
    }

    /// Attaches a loaded program of type BPF_PROG_TYPE_SCHED_CLS, which decides by what it returns (direct action).
    /// EEXIST when the place is taken by a program; EINVAL when its priority is, by filters of another kind.
    package func attach(_ filter: Filter, to link: Link, program descriptor: CInt) throws(KernelError) {
        try put(filter, NLM_F_EXCL, link, descriptor)
    }

    /// Attaches a program where another may stand, whoever attached that: every packet meets the old one or the new one.
    package func replace(_ filter: Filter, on link: Link, program descriptor: CInt) throws(KernelError) {
        try put(filter, NLM_F_REPLACE, link, descriptor)
    }

    private func put(_ filter: Filter, _ manner: CInt, _ link: Link, _ descriptor: CInt) throws(KernelError) {
        var request = NetlinkRequest(
            "RTM_NEWTFILTER", RTM_NEWTFILTER, "\(link.name) \(filter.name)", flags: NLM_F_CREATE | manner,
            header(filter, link))
        request.put(TCA_KIND, Filter.kind)
        request.nest(TCA_OPTIONS) { options in
            options.put(TCA_BPF_FD, UInt32(bitPattern: descriptor))
            options.put(TCA_BPF_NAME, filter.name)
            options.put(TCA_BPF_FLAGS, UInt32(TCA_BPF_FLAG_ACT_DIRECT))
        }
        try socket.exchange(request)
    }

    /// Detaches the program at the filter's place; false when there is none, nor perhaps its hook or its link.
    @discardableResult
    package func detach(_ filter: Filter, from link: Link) throws(KernelError) -> Bool {
        var request = NetlinkRequest(
            "RTM_DELTFILTER", RTM_DELTFILTER, "\(link.name) \(filter.name)", header(filter, link))
        request.put(TCA_KIND, Filter.kind)
        do { try socket.exchange(request) } catch {
            guard [ENOENT, EINVAL, ENODEV].contains(error.errno.rawValue) else { throw error }
            return false
        }
        return true
    }

    /// All filters at the link's hook, whoever attached them: when there are none, nobody misses the hook.
    package func filters(on link: Link, _ direction: Filter.Direction) throws(KernelError) -> [Filter] {
        try socket.exchange(
            NetlinkRequest(
                "RTM_GETTFILTER", RTM_GETTFILTER, link.name, flags: NLM_F_DUMP, header(link, parent(direction)))
        ).compactMap { Filter($0, direction) }
    }

    /// What gives the link its hooks: `clsact`, or its forerunner `ingress`; nil when it has none.
    package func hooks(of link: Link) throws(KernelError) -> String? {
        try socket.exchange(NetlinkRequest("RTM_GETQDISC", RTM_GETQDISC, link.name, flags: NLM_F_DUMP, tcmsg()))
            .first {
                guard let header = $0.header(tcmsg.self) else { return false }
                return header.tcm_ifindex == link.index && header.tcm_parent == cnetlink_clsact_parent()
            }?.attributes(after: tcmsg.self).text(TCA_KIND)
    }

    /// The number that the kernel gave to the program at the filter's place; nil when none of that name stands there.
    package func programNumber(of filter: Filter, on link: Link) throws(KernelError) -> UInt32? {
        let request = NetlinkRequest(
            "RTM_GETTFILTER", RTM_GETTFILTER, link.name, flags: NLM_F_DUMP, header(link, parent(filter.direction)))
        return try socket.exchange(request).first { Filter($0, filter.direction) == filter }?
            .attributes(after: tcmsg.self).nested(TCA_OPTIONS)?.integer(TCA_BPF_ID)
    }

    private func header(_ filter: Filter, _ link: Link) -> tcmsg {
        var header = header(link, parent(filter.direction))
        header.tcm_handle = filter.handle
        header.tcm_info = cnetlink_filter_word(filter.priority)
        return header
    }

    private func clsactHeader(_ link: Link) -> tcmsg {
        var header = header(link, cnetlink_clsact_parent())
        header.tcm_handle = cnetlink_clsact_handle()
        return header
    }

    private func header(_ link: Link, _ parent: UInt32) -> tcmsg {
        var header = tcmsg()
        header.tcm_ifindex = link.index
        header.tcm_parent = parent
        return header
    }

    private func parent(_ direction: Filter.Direction) -> UInt32 {
        direction == .ingress ? cnetlink_clsact_ingress() : cnetlink_clsact_egress()
    }
}
