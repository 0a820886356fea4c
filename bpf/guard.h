/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

/* What the guard knows of addresses and ports, for who reads packets the other way. Global functions, which the verifier
   walks once, in words, because before kernel 5.12 these take no pointers. */

#include "datagram.h"

/* The port is zero for later fragments, which have none. */
bool is_vpn_endpoint(__be64 high, __be64 low, __u32 port);

/* The bit is the port, of UDP behind all of TCP's. */
bool is_service(__u32 bit);

/* Zero where a packet has none. */
struct ports {
    __be16 source;
    __be16 destination;
};

static __always_inline bool has_ports(const struct datagram *datagram)
{
    return datagram->protocol == IPPROTO_TCP || datagram->protocol == IPPROTO_UDP;
}

/* What neighbours, routers and listeners say to each other (RFC 4861, 3810, 2710). */
static __always_inline bool is_neighbourly(struct __sk_buff *skb, const struct datagram *datagram)
{
    __u8 type;

    return !is_fragment(datagram) && !bpf_skb_load_bytes(skb, datagram->transport, &type, sizeof(type))
        && ((type >= 130 && type <= 136) || type == 143);
}
