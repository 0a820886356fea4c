// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include <linux/in.h>
#include <sys/socket.h>

#include "client_dns.h"
#include "marks.h"

/*
 * tailscaled's sockets, at its cgroup: what is control plane gets our mark, what may be a client's lookup loses
 * Tailscale's. Sockets that bear another mark are somebody else's.
 *
 * Nothing is marked before its destination is known, unless Tailscale marks it: a socket that is marked at its creation
 * or at bind(2) may be a listener, whose connections inherit the mark and would answer tailnet peers by the uplink, and
 * tailscaled asks clients' questions from unmarked, unconnected UDP sockets. A mark set in sendmsg(2) would come too late
 * for the datagram that is being sent.
 */

/* tailscaled marks a socket after its creation and overwrites what is there. */
SEC("cgroup/setsockopt")
int control_plane_option(struct bpf_sockopt *option)
{
    __u32 *mark = option->optval;

    if (option->level != SOL_SOCKET || option->optname != SO_MARK || (void *)(mark + 1) > option->optval_end
        || !bears_bypass(*mark)) {
        /* The kernel takes the caller's own buffer. Of an option that is longer than a page, a firewall's table for
           example, it shows us a part, and some kernels refuse the call if that is given back. */
        option->optlen = 0;
        return 1;
    }
    *mark = (*mark & ~STEERING_OUR_MASK) | STEERING_CONTROL_MARK;
    return 1;
}

/* An unspecified destination is the host itself, too. */
static __always_inline bool is_loopback(const struct steering_address *address)
{
    __u32 last = bpf_ntohl(address->words[3]);

    if (is_mapped(address))
        return last >> 24 == 127 || last == 0;
    return !address->words[0] && !address->words[1] && !address->words[2] && last <= 1;
}

/* 100.64.0.0/10 and fd7a:115c:a1e0::/48. */
static __always_inline bool is_tailnet(const struct steering_address *address)
{
    if (is_mapped(address))
        return is_within(address->words[3], 0x64400000, 10);
    return address->words[0] == bpf_htonl(0xfd7a115c) && is_within(address->words[1], 0xa1e00000, 16);
}

/*
 * Whether a socket that nobody has marked is control plane: tailscaled fetches its updates by such. UDP is clients'
 * questions; and without a tailnet edge tailscaled may carry clients' connections by sockets of its own (userspace mode).
 */
static __always_inline bool is_unmarked_control(
    const struct bpf_sock_addr *call, const struct steering_address *destination)
{
    return call->type == SOCK_STREAM && ways.tailnet.index && !is_tailnet(destination);
}

static __always_inline void mark_connection(struct bpf_sock_addr *call, const struct steering_address *destination)
{
    struct bpf_sock *socket = call->sk;

    if (!socket || is_loopback(destination))
        return;

    __u32 mark = socket->mark;
    struct halves address = halves(destination);
    __u32 theirs = mark & ~STEERING_OUR_MASK;
    __u32 wanted = mark;

    if (theirs && !bears_bypass(theirs))
        return;
    if (is_client_dns(address.high, address.low, bpf_ntohs(call->user_port)))
        wanted = theirs & ~STEERING_BYPASS_MASK;
    else if (theirs || is_unmarked_control(call, destination))
        wanted = theirs | STEERING_CONTROL_MARK;
    if (wanted != mark)
        bpf_setsockopt(call, SOL_SOCKET, SO_MARK, &wanted, sizeof(wanted));
}

SEC("cgroup/connect4")
int control_plane_connect4(struct bpf_sock_addr *call)
{
    struct steering_address destination;

    map_ipv4(&destination, call->user_ip4);
    mark_connection(call, &destination);
    return 1;
}

/* IPv4 by an IPv6 socket comes here in mapped form, as ours is. */
SEC("cgroup/connect6")
int control_plane_connect6(struct bpf_sock_addr *call)
{
    struct steering_address destination = {
        { call->user_ip6[0], call->user_ip6[1], call->user_ip6[2], call->user_ip6[3] }
    };

    mark_connection(call, &destination);
    return 1;
}
