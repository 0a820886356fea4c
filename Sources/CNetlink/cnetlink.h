#pragma once

/*
 * libnl-3's messages, attributes and sockets, and the kernel headers that name what goes into them.
 *
 * libnl folds errno into its own shorter list of errors. The three calls that reach the kernel are therefore wrapped:
 * `cnetlink_`, stateless, answering -errno.
 *
 * <net/if.h> comes before <linux/if.h>, which then leaves out what both define: every C module must see one and the same
 * definition of a type.
 */

#include <net/if.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <errno.h>
#include <netinet/in.h>
#include <linux/fib_rules.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

_Static_assert(sizeof(struct ifinfomsg) == 16, "attributes follow the sixteen octets of ifinfomsg");
_Static_assert(sizeof(struct ifaddrmsg) == 8, "attributes follow the eight octets of ifaddrmsg");
_Static_assert(sizeof(struct rtmsg) == 12, "attributes follow the twelve octets of rtmsg");
_Static_assert(sizeof(struct fib_rule_hdr) == 12, "attributes follow the twelve octets of fib_rule_hdr");
_Static_assert(sizeof(struct nfgenmsg) == 4, "attributes follow the four octets of nfgenmsg");
_Static_assert(sizeof(struct genlmsghdr) == 4, "attributes follow the four octets of genlmsghdr");
_Static_assert(sizeof(struct tcmsg) == 20, "attributes follow the twenty octets of tcmsg");

/* The errno of a libnl call that has just failed; EIO where libnl itself gave up and the kernel was not asked. */
static inline int cnetlink_failure(void) { return errno > 0 ? -errno : -EIO; }

static inline int cnetlink_connect(struct nl_sock *socket, int protocol) {
    errno = 0;
    return nl_connect(socket, protocol) < 0 ? cnetlink_failure() : 0;
}

static inline int cnetlink_send(struct nl_sock *socket, struct nl_msg *message) {
    errno = 0;
    int length = nl_send_auto(socket, message);
    return length < 0 ? cnetlink_failure() : length;
}

/* One datagram in a buffer that the caller frees. nl_recv sizes it by peeking. */
static inline int cnetlink_receive(struct nl_sock *socket, unsigned char **buffer) {
    struct sockaddr_nl sender;
    errno = 0;
    *buffer = 0;
    int length = nl_recv(socket, &sender, buffer, 0);
    return length < 0 ? cnetlink_failure() : length;
}

/* Function-like macros and casts, which Swift does not import. */
static inline uint32_t cnetlink_clsact_parent(void) { return TC_H_CLSACT; }
static inline uint32_t cnetlink_clsact_handle(void) { return TC_H_MAKE(TC_H_CLSACT, 0); }
static inline uint32_t cnetlink_clsact_ingress(void) { return TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS); }
static inline uint32_t cnetlink_clsact_egress(void) { return TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS); }

/* tcm_info: the priority above, the ethertype (here: any) in network order below. */
static inline uint32_t cnetlink_filter_word(uint16_t priority) {
    return TC_H_MAKE((uint32_t)priority << 16, htons(ETH_P_ALL));
}

/* The type of a netfilter message: the subsystem above, the message below. */
static inline int cnetlink_nftables_message(int message) { return NFNL_SUBSYS_NFTABLES << 8 | message; }
