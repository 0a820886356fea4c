/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

/*
 * Reads one IP packet, or one quoted in an ICMP error, into what the programs decide by.
 *
 * Everything is copied out with bpf_skb_load_bytes: it reaches into the fragments of super-packets, and it needs no
 * pointer arithmetic of the kind that the verifier refuses without CAP_PERFMON. All structures that helpers read are
 * zeroed whole for the same reason: uninitialised padding is refused.
 */

#include <linux/in.h>

#include "extensions.h"
#include "ip.h"

struct datagram {
    struct steering_address source;
    struct steering_address destination;
    __u32 transport;
    /* Only a fragment's means anything. */
    __u32 fragment_id;
    /* As in IPv6's fragment header: the offset in octets and, in the lowest bit, whether more follow; zero: whole. Not
       two booleans, because the verifier would go on separately for each of their values. */
    __u16 fragment;
    __u8 protocol;
};

static __always_inline bool is_fragment(const struct datagram *datagram)
{
    return datagram->fragment;
}

static __always_inline bool is_later_fragment(const struct datagram *datagram)
{
    return datagram->fragment > 1;
}

static __always_inline bool read_ipv4(struct __sk_buff *skb, __u32 offset, struct datagram *datagram)
{
    struct iphdr header;

    if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header)))
        return false;
    if (header.version != 4 || header.ihl < 5)
        return false;

    __u16 fragment = bpf_ntohs(header.frag_off);
    map_ipv4(&datagram->source, header.saddr);
    map_ipv4(&datagram->destination, header.daddr);
    datagram->transport = offset + header.ihl * 4;
    datagram->fragment_id = header.id;
    datagram->fragment = (fragment & 0x1fff) << 3 | (fragment >> 13 & 1);
    datagram->protocol = header.protocol;
    return true;
}

static __always_inline bool read_ipv6(struct __sk_buff *skb, __u32 offset, struct datagram *datagram)
{
    struct ipv6hdr header;
    union chain_end end;

    if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header)))
        return false;
    if (header.version != 6)
        return false;
    end.word = follow_extensions(skb, offset + sizeof(header), header.nexthdr);
    if (!end.word)
        return false;

    __builtin_memcpy(&datagram->source, &header.saddr, sizeof(datagram->source));
    __builtin_memcpy(&datagram->destination, &header.daddr, sizeof(datagram->destination));
    datagram->transport = end.transport;
    datagram->fragment = end.fragment;
    datagram->fragment_id = 0;
    datagram->protocol = end.protocol;
    return !end.fragment
        || !bpf_skb_load_bytes(
            skb, end.fragment_header + offsetof(struct extension, fragment_id), &datagram->fragment_id,
            sizeof(datagram->fragment_id));
}

/* Answers false for what is truncated or contradicts itself.

   @ethertype: what it is said to be; anything but IPv4 is read as IPv6. */
static __noinline bool read_datagram(
    struct __sk_buff *skb, __u32 offset, __u32 ethertype, struct datagram *datagram)
{
    if (ethertype == ETH_P_IP)
        return read_ipv4(skb, offset, datagram);
    return read_ipv6(skb, offset, datagram);
}
