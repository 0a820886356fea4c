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

#include "ip.h"

enum { EXTENSION_HEADERS = 8 };

struct datagram {
    struct steering_address source;
    struct steering_address destination;
    __u32 transport;
    __u32 fragment_id;
    __u8 protocol;
    bool is_fragment;
    bool is_later_fragment;
};

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
    datagram->protocol = header.protocol;
    datagram->is_fragment = fragment & 0x3fff;
    datagram->is_later_fragment = fragment & 0x1fff;
    return true;
}

/* Follows RFC 8200 section 4 to the first header that is not an extension. A walk that needs more than
   EXTENSION_HEADERS steps ends at an extension, which is nobody's transport. */
static __always_inline bool read_ipv6(struct __sk_buff *skb, __u32 offset, struct datagram *datagram)
{
    struct ipv6hdr header;

    if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header)))
        return false;
    if (header.version != 6)
        return false;

    __builtin_memcpy(&datagram->source, &header.saddr, sizeof(datagram->source));
    __builtin_memcpy(&datagram->destination, &header.daddr, sizeof(datagram->destination));
    datagram->transport = offset + sizeof(header);
    datagram->protocol = header.nexthdr;

    for (int i = 0; i < EXTENSION_HEADERS; i++) {
        struct {
            __u8 next;
            __u8 length;
            __be16 fragment;
            __be32 fragment_id;
        } extension;

        if (datagram->protocol != IPPROTO_HOPOPTS && datagram->protocol != IPPROTO_ROUTING
            && datagram->protocol != IPPROTO_DSTOPTS && datagram->protocol != IPPROTO_FRAGMENT)
            break;
        if (bpf_skb_load_bytes(skb, datagram->transport, &extension, sizeof(extension)))
            return false;
        if (datagram->protocol == IPPROTO_FRAGMENT) {
            __u16 fragment = bpf_ntohs(extension.fragment);
            datagram->fragment_id = extension.fragment_id;
            datagram->is_fragment = fragment & 0xfff9;
            datagram->is_later_fragment = fragment & 0xfff8;
            extension.length = 0;
        }
        datagram->protocol = extension.next;
        datagram->transport += 8 + extension.length * 8;
        if (datagram->is_later_fragment)
            break;
    }
    return true;
}

/* Answers false for what is truncated or contradicts itself. Called for the packet and for the one it quotes: kept out
   of line so that the verifier walks the extension headers once per call, not the callers once per walk. */
static __noinline bool read_datagram(struct __sk_buff *skb, __u32 offset, struct datagram *datagram)
{
    if (skb->protocol == bpf_htons(ETH_P_IP))
        return read_ipv4(skb, offset, datagram);
    return read_ipv6(skb, offset, datagram);
}
