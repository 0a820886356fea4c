/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

/* What the programs of both edges ask of a packet before they read it. */

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "maps.h"

/* Where the IP header begins. An ingress program sees the Ethernet header of an edge that has one. */
static __always_inline __u32 network_offset(const struct steering_edge *edge)
{
    return edge->is_ethernet ? ETH_HLEN : 0;
}

static __always_inline bool is_ip(const struct __sk_buff *skb)
{
    return skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6);
}

static __always_inline void map_ipv4(struct steering_address *mapped, __be32 address)
{
    mapped->words[0] = 0;
    mapped->words[1] = 0;
    mapped->words[2] = bpf_htonl(0xffff);
    mapped->words[3] = address;
}

static __always_inline bool is_mapped(const struct steering_address *address)
{
    return address->words[0] == 0 && address->words[1] == 0 && address->words[2] == bpf_htonl(0xffff);
}

static __always_inline bool same_address(const struct steering_address *a, const struct steering_address *b)
{
    return a->words[3] == b->words[3] && a->words[2] == b->words[2] && a->words[1] == b->words[1]
        && a->words[0] == b->words[0];
}

/* The two halves of an address, as its octets lie. */
struct halves {
    __be64 high;
    __be64 low;
};

static __always_inline struct halves halves(const struct steering_address *address)
{
    struct halves halves;

    __builtin_memcpy(&halves, address, sizeof(halves));
    return halves;
}
