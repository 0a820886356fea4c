// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include "ip.h"

/*
 * Ingress of the tailnet edge: what is for the node stays with the node, everything else is exit traffic and goes to
 * the inside port. Nothing that was sent through us is ever left to the host's routing: what cannot be read is dropped.
 */

/* Multicast and broadcast of both families, and what IPv6 neighbours say to each other. The kernel forwards none of it.
   IPv4 link-local is not here, because the kernel does forward that (169.254.169.254 is a cloud's metadata service). */
static __always_inline bool stays_on_link(const struct steering_address *address)
{
    if (is_mapped(address)) {
        __u32 ipv4 = bpf_ntohl(address->words[3]);
        return ipv4 >> 28 == 0xe || ipv4 == 0xffffffff;
    }
    __u32 prefix = bpf_ntohl(address->words[0]);
    return prefix >> 24 == 0xff || prefix >> 22 == 0xfe80 >> 6;
}

static __always_inline bool read_destination(
    struct __sk_buff *skb, __u32 offset, struct steering_address *destination)
{
    if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
        if (bpf_skb_load_bytes(skb, offset + offsetof(struct ipv6hdr, daddr), destination, sizeof(*destination)))
            return false;
        /* An IPv6 packet to a mapped address would pass for IPv4 below, and the host would route it. */
        return !is_mapped(destination);
    }

    __be32 ipv4;
    if (bpf_skb_load_bytes(skb, offset + offsetof(struct iphdr, daddr), &ipv4, sizeof(ipv4)))
        return false;
    map_ipv4(destination, ipv4);
    return true;
}

SEC("tc")
int tailnet_ingress(struct __sk_buff *skb)
{
    struct steering_prefix destination;

    /* The kernel forwards nothing that the link did not address to this host; on L3 edges everything is. */
    if (!is_ip(skb) || skb->pkt_type != PACKET_HOST)
        return conclude(verdict_tailnet_to_host, TC_ACT_OK);
    /* Of an interface that is no edge any more nobody says how its packets begin. */
    if (skb->ifindex != ways.tailnet.index)
        return conclude(verdict_tailnet_closed, TC_ACT_SHOT);
    if (!read_destination(skb, network_offset(&ways.tailnet), &destination.address))
        return conclude(verdict_tailnet_malformed, TC_ACT_SHOT);
    destination.length = 128;
    if (stays_on_link(&destination.address) || bpf_map_lookup_elem(&kept_local, &destination))
        return conclude(verdict_tailnet_to_host, TC_ACT_OK);

    __u32 port = ways.inside_port;
    if (!port)
        return conclude(verdict_tailnet_closed, TC_ACT_SHOT);
    return conclude(verdict_tailnet_to_port, bpf_redirect(port, 0));
}
