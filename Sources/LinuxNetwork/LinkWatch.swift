internal import CNetlink
package import LinuxSystem

/// Tells that links, their addresses, their programs, the rules or the default routes changed, so that who waits need not
/// ask on a timer.
///
/// It tells no more than that: the news may be lost when much happens at once, so look again with `Netlink` after each.
/// Open it before the first look, or a change between the two goes unnoticed.
package struct LinkWatch: ~Copyable {
    private let socket: NetlinkSocket

    package init() throws(KernelError) {
        let socket = try NetlinkSocket()
        try socket.watch([
            RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_TC,
            RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
        ])
        self.socket = socket
    }

    /// Readable when something changed. It belongs to the watch: to poll, not to read or close.
    package var descriptor: CInt { socket.descriptor }

    /// Takes all news there are, without waiting. True when there were any, lost ones (ENOBUFS) among them. Routes that are
    /// not default routes are no news: a host may change thousands a second.
    package func drain() throws(KernelError) -> Bool {
        var changed = false
        while true {
            do {
                let news = try socket.receive("recvmsg", "rtnetlink news")
                changed = changed || news.contains { !$0.isOfOtherRoute }
            } catch {
                switch error.errno {
                case .resourceTemporarilyUnavailable: return changed
                case .noBufferSpace: changed = true
                default: throw error
                }
            }
        }
    }
}

extension NetlinkReply {
    /// About a route to less than everywhere.
    fileprivate var isOfOtherRoute: Bool {
        [CInt(RTM_NEWROUTE), CInt(RTM_DELROUTE)].contains(type) && header(rtmsg.self).map { $0.rtm_dst_len > 0 } == true
    }
}
