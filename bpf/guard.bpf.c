// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include <linux/icmpv6.h>

#include "client_dns.h"
#include "guard.h"
#include "marks.h"

/*
 * Egress of the uplink: what may be seen on the line at home. Nothing that is not known to belong there passes.
 *
 * A packet that passes goes on to the programs behind, which are others'.
 */

/* Each uplink's verdicts, one uplink after the other. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, STEERING_UPLINKS * STEERING_GUARD_VERDICT_COUNT);
    __type(key, __u32);
    __type(value, struct steering_tally);
} guard_tallies SEC(".maps");

/*
 * The host's routing is asked for no client's packet, so what it forwards is somebody's of the house, or a leak. It may
 * go where clients may: to what is kept local.
 */
static __always_inline enum steering_guard_verdict judge_forwarded(
    const struct __sk_buff *skb, const struct datagram *datagram)
{
    struct steering_prefix destination = { .length = 128, .address = datagram->destination };

    /* Where uplink and vpn are one, what comes from our port was steered. */
    if (skb->ifindex == ways.vpn.index && ways.outside_port && skb->ingress_ifindex == ways.outside_port)
        return guard_client;
    return bpf_map_lookup_elem(&kept_local, &destination) ? guard_routed : guard_forwarded;
}

static __always_inline bool bears_vpn_mark(__u32 mark)
{
#pragma unroll
    for (int i = 0; i < STEERING_VPN_MARKS; i++)
        if (mark && mark == guard.vpn_marks[i])
            return true;
    return false;
}

__noinline bool is_vpn_endpoint(__be64 high, __be64 low, __u32 port)
{
#pragma unroll
    for (int i = 0; i < STEERING_ENDPOINTS; i++) {
        struct halves address = halves(&guard.endpoints[i].address);
        __u32 expected = guard.endpoints[i].port;

        if (!expected)
            return false;
        if ((!port || port == expected) && address.high == high && address.low == low)
            return true;
    }
    return false;
}

static __always_inline bool is_broadcast(const struct steering_address *address)
{
    return address->words[3] == 0xffffffff;
}

/* No router hands on what goes there: fe80::/10 and ff02::/16. */
static __always_inline bool is_of_link(const struct steering_address *address)
{
    __u32 first = bpf_ntohl(address->words[0]);

    return first >> 22 == 0xfe80 >> 6 || first >> 16 == 0xff02;
}

/* What a link needs to be one: neighbours, routers, listeners, addresses. */
static __always_inline bool is_housekeeping(
    struct __sk_buff *skb, const struct datagram *datagram, const struct ports *ports)
{
    switch (datagram->protocol) {
    case IPPROTO_IGMP:
        return is_mapped(&datagram->destination);
    case IPPROTO_ICMPV6:
        return is_neighbourly(skb, datagram);
    case IPPROTO_UDP:
        /* Such a port may be anybody's. What is renewed elsewhere is asked of all in the end (RFC 2131 section 4.4.5,
           RFC 8415 section 18.2.5). */
        if (is_mapped(&datagram->destination))
            return ports->source == bpf_htons(68) && ports->destination == bpf_htons(67)
                && is_broadcast(&datagram->destination);
        return ports->source == bpf_htons(546) && ports->destination == bpf_htons(547)
            && is_of_link(&datagram->destination);
    default:
        return false;
    }
}

/* A function for another reason, too: without CAP_PERFMON the verifier refuses an index that is a constant on one of two
   paths. */
__noinline bool is_service(__u32 bit)
{
    return guard.services[bit >> 6 & (2 * STEERING_PORT_WORDS - 1)] >> (bit & 63) & 1;
}

/* Where a TCP header has its flags, and two of them (RFC 9293 section 3.1). */
enum { TCP_FLAGS = 13, TCP_SYN = 0x02, TCP_ACK = 0x10 };

/* A connection that is begun here is no answer. */
static __always_inline bool is_answer_of_service(
    struct __sk_buff *skb, const struct datagram *datagram, const struct ports *ports)
{
    bool is_udp = datagram->protocol == IPPROTO_UDP;
    __u8 flags;

    if (!has_ports(datagram) || !is_service(bpf_ntohs(ports->source) + is_udp * 0x10000))
        return false;
    if (is_udp)
        return true;
    return !bpf_skb_load_bytes(skb, datagram->transport + TCP_FLAGS, &flags, sizeof(flags))
        && (flags & (TCP_SYN | TCP_ACK)) != TCP_SYN;
}

static __always_inline bool is_marked_control(__u32 mark)
{
    __u32 ours = mark & STEERING_OUR_MASK;

    return bears_bypass(mark) || ours == STEERING_CONTROL_MARK || ours == STEERING_QUESTION_MARK;
}

__noinline __u32 judge(struct __sk_buff *skb, __u32 offset, __u32 ethertype)
{
    struct datagram datagram;
    struct ports ports = {};
    __u32 mark = skb->mark;
    struct halves address;

    if (ethertype == ETH_P_ARP && !skb->ingress_ifindex)
        return guard_management;
    if (ethertype != ETH_P_IP && ethertype != ETH_P_IPV6)
        return guard_other_protocol;
    if (!read_datagram(skb, offset, ethertype, &datagram))
        return guard_unreadable;
    if (skb->ingress_ifindex)
        return judge_forwarded(skb, &datagram);
    if (has_ports(&datagram) && !is_later_fragment(&datagram)
        && bpf_skb_load_bytes(skb, datagram.transport, &ports, sizeof(ports)))
        return guard_unreadable;

    address = halves(&datagram.destination);
    if (bears_bypass(mark) && (mark & STEERING_OUR_MASK) != STEERING_QUESTION_MARK
        && is_client_dns(address.high, address.low, bpf_ntohs(ports.destination)))
        return guard_client_dns;
    if (bears_vpn_mark(mark))
        return guard_encapsulation;
    if (is_marked_control(mark))
        return guard_control;
    if (has_ports(&datagram) && is_vpn_endpoint(address.high, address.low, bpf_ntohs(ports.destination)))
        return guard_encapsulation;
    if (is_housekeeping(skb, &datagram, &ports))
        return guard_management;
    if (is_answer_of_service(skb, &datagram, &ports))
        return guard_management;
    return guard_unmarked;
}

static __always_inline int leave(struct __sk_buff *skb, __u32 uplink, enum steering_guard_verdict verdict)
{
    __u32 key = uplink * STEERING_GUARD_VERDICT_COUNT + verdict;
    struct steering_tally *tally = bpf_map_lookup_elem(&guard_tallies, &key);
    bool is_refusal = verdict >= guard_forwarded;

    if (tally) {
        tally->packets += 1;
        tally->bytes += skb->wire_len;
        if (is_refusal && guard.observes) {
            tally->leaked_packets += 1;
            tally->leaked_bytes += skb->wire_len;
        }
    }
    return is_refusal && !guard.observes ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* What a frame holds says the frame: skb->protocol is the word of who sent it, by a packet socket perhaps. */
static __always_inline enum steering_guard_verdict judge_frame(struct __sk_buff *skb)
{
    __be16 ethertype = 0;

    bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_proto), &ethertype, sizeof(ethertype));
    return judge(skb, ETH_HLEN, bpf_ntohs(ethertype));
}

static __always_inline enum steering_guard_verdict judge_bare(struct __sk_buff *skb)
{
    __u8 version = 0;

    bpf_skb_load_bytes(skb, 0, &version, sizeof(version));
    return judge(skb, 0, version >> 4 == 4 ? ETH_P_IP : version >> 4 == 6 ? ETH_P_IPV6 : 0);
}

SEC("tc")
int guard_egress(struct __sk_buff *skb)
{
    __u32 uplink = 0;
    __u32 is_ethernet = 2;

#pragma unroll
    for (int i = 0; i < STEERING_UPLINKS; i++)
        if (guard.uplinks[i].index == skb->ifindex) {
            uplink = i;
            is_ethernet = guard.uplinks[i].is_ethernet;
        }
    /* Not among the uplinks that are known, as one that was moved here: how its packets begin, nobody has said. */
    if (is_ethernet == 2)
        return leave(skb, 0, guard_unreadable);
    return leave(skb, uplink, is_ethernet ? judge_frame(skb) : judge_bare(skb));
}
