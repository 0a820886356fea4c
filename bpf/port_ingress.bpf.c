// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include "meter.h"

/*
 * Ingress of our own ports: what userspace wrote leaves by the port's edge or not at all. No packet is ever passed on,
 * because behind a pass waits the host's IP stack.
 */

static __always_inline int leave(
    struct __sk_buff *skb, __u32 port, const struct steering_edge *edge, enum steering_verdict to_edge,
    enum steering_verdict closed, enum steering_verdict no_headroom)
{
    __u32 index = edge->index;

    if (!port || !index)
        return conclude(closed, TC_ACT_SHOT);
    if (!edge->is_ethernet)
        return conclude(to_edge, bpf_redirect(index, 0));

    /* bpf_redirect_neigh resolves the next hop and holds packets meanwhile, but takes off a link-layer header first, which
       those from a tun lack: they get an empty one, save ordinary packets of more than 16 KiB (SKB_MAX_ALLOC). */
    if (bpf_skb_change_head(skb, ETH_HLEN, 0))
        return conclude(no_headroom, TC_ACT_SHOT);
    return conclude(to_edge, bpf_redirect_neigh(index, NULL, 0, 0));
}

SEC("tc")
int inside_port_ingress(struct __sk_buff *skb)
{
    return leave(
        skb, ways.inside_port, &ways.tailnet, verdict_inside_to_edge, verdict_inside_closed, verdict_inside_no_headroom);
}

SEC("tc")
int outside_port_ingress(struct __sk_buff *skb)
{
    if (ways.outside_port && ways.vpn.index)
        count(meter_tunnel_egress, wire_length(skb, 0, 0));
    return leave(
        skb, ways.outside_port, &ways.vpn, verdict_outside_to_edge, verdict_outside_closed, verdict_outside_no_headroom);
}
