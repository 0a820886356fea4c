// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include <linux/icmpv6.h>

#include "guard.h"
#include "meter.h"

/*
 * Ingress of the uplink: everything passes, and is counted for the bill. Where uplink and vpn are one, vpn_ingress stands
 * here instead, and counts what is no client's by the same function.
 */

/* Where a TCP header says how many words it has (RFC 9293 section 3.1). */
enum { TCP_DATA_OFFSET = 12 };

__noinline __u64 wire_length(struct __sk_buff *skb, __u32 offset, __u32 lead)
{
    struct datagram datagram;
    __u32 payload = skb->gso_size;
    __u32 length = skb->len;
    __u32 headers;
    __u8 words;

    if (!payload || !read_datagram(skb, offset, bpf_ntohs(skb->protocol), &datagram))
        return length - lead;
    headers = datagram.transport;
    if (datagram.protocol == IPPROTO_UDP)
        headers += 8;
    else if (datagram.protocol == IPPROTO_TCP
        && !bpf_skb_load_bytes(skb, datagram.transport + TCP_DATA_OFFSET, &words, sizeof(words)))
        headers += (words >> 4) * 4;
    if (headers >= length)
        return length - lead;
    return length - lead + (__u64)((length - headers - 1) / payload) * (headers - lead);
}

static __always_inline bool is_management(
    struct __sk_buff *skb, const struct datagram *datagram, const struct ports *ports)
{
    if (datagram->protocol == IPPROTO_ICMPV6)
        return is_neighbourly(skb, datagram);
    if (datagram->protocol == IPPROTO_IGMP)
        return true;
    if (!has_ports(datagram) || is_later_fragment(datagram))
        return false;
    if (datagram->protocol == IPPROTO_UDP
        && (ports->destination == bpf_htons(68) || ports->destination == bpf_htons(546)))
        return true;
    return is_service(bpf_ntohs(ports->destination) + (datagram->protocol == IPPROTO_UDP) * 0x10000);
}

static __always_inline enum steering_meter class_of_arrival(struct __sk_buff *skb, __u32 offset)
{
    struct datagram datagram;
    struct ports ports = {};
    struct halves source;

    if (!is_ip(skb))
        return meter_uplink_management;
    if (!read_datagram(skb, offset, bpf_ntohs(skb->protocol), &datagram))
        return meter_uplink_control;
    if (has_ports(&datagram) && !is_later_fragment(&datagram))
        bpf_skb_load_bytes(skb, datagram.transport, &ports, sizeof(ports));
    source = halves(&datagram.source);
    if (has_ports(&datagram) && is_vpn_endpoint(source.high, source.low, bpf_ntohs(ports.source)))
        return meter_uplink_encapsulation;
    return is_management(skb, &datagram, &ports) ? meter_uplink_management : meter_uplink_control;
}

__noinline __u32 count_arrival(struct __sk_buff *skb)
{
    const struct steering_edge *uplink = uplink_of(skb);
    /* Of one that is not known how its packets begin, nobody has said; nearly all are Ethernet. */
    __u32 offset = !uplink || uplink->is_ethernet ? ETH_HLEN : 0;

    count(class_of_arrival(skb, offset), wire_length(skb, offset, 0));
    return 0;
}

SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
    count_arrival(skb);
    return TC_ACT_UNSPEC;
}
