// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include <linux/icmp.h>
#include <linux/icmpv6.h>

#include "datagram.h"
#include "meter.h"

/*
 * Ingress of the vpn edge: a packet is ours only if it answers a live binding; anything else belongs to the host. The
 * bindings are userspace's, this only asks whether one could exist: the flow table has the last word.
 */

/* First fragments that were ours, by what identifies their datagram to its destination, with the time they passed. */
struct fragment_key {
    struct steering_address source;
    __u32 id;
    __u32 protocol;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct fragment_key);
    __type(value, __u64);
} fragments SEC(".maps");

/* Linux's own reassembly timeout, after which an identification may come to mean another datagram. */
static const __u64 fragment_lifetime_ns = 30ull * 1000 * 1000 * 1000;

static __always_inline bool is_live_port(__u8 protocol, __be16 port)
{
    __u32 number = bpf_ntohs(port);
    __u64 word = protocol == IPPROTO_TCP ? live_tcp_ports[number >> 6] : live_udp_ports[number >> 6];

    return word >> (number & 63) & 1;
}

/*
 * A live ICMP query is a word in an open-addressed table: its fingerprint, in one of the eight slots from the one that
 * it names, wrapping. Zero is an empty slot. Two queries may share a fingerprint: the host then loses an answer, once in
 * 2^64. The writer computes the same (LiveBindings in Sources/DataPlane), with 1 in place of a fingerprint of zero. Here
 * that one is never found: without CAP_PERFMON the verifier refuses a table index that is a constant on one of two
 * paths.
 */
enum { QUERY_PROBES = 8 };

static __always_inline __u64 query_fingerprint(const struct steering_address *remote, __be16 identifier)
{
    __u64 x = ((__u64)bpf_ntohl(remote->words[0]) << 32 | bpf_ntohl(remote->words[1])) * 0x9E3779B97F4A7C15ull;

    x ^= x >> 32;
    x += (__u64)bpf_ntohl(remote->words[2]) << 32 | bpf_ntohl(remote->words[3]);
    x *= 0xD6E8FEB86659FD93ull;
    x ^= x >> 32;
    x += bpf_ntohs(identifier);
    x *= 0xD6E8FEB86659FD93ull;
    return x ^ x >> 32;
}

static __noinline bool is_live_query(const struct steering_address *remote, __be16 identifier)
{
    __u64 fingerprint = query_fingerprint(remote, identifier);

    if (fingerprint == 0)
        return false;
    for (__u32 probe = 0; probe < QUERY_PROBES; probe++)
        if (live_queries[(fingerprint + probe) % STEERING_QUERIES] == fingerprint)
            return true;
    return false;
}

/* ICMP's first eight octets; ICMPv6 has the same shape. */
struct icmp_head {
    __u8 type;
    __u8 code;
    __u16 checksum;
    __be16 identifier;
    __be16 sequence;
};

static __always_inline bool is_echo_request(__u8 protocol, __u8 type)
{
    return type == (protocol == IPPROTO_ICMP ? ICMP_ECHO : ICMPV6_ECHO_REQUEST);
}

static __always_inline bool is_echo_reply(__u8 protocol, __u8 type)
{
    return type == (protocol == IPPROTO_ICMP ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY);
}

static __always_inline bool is_error(__u8 protocol, __u8 type)
{
    if (protocol == IPPROTO_ICMP)
        return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
    return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
}

/* Does the packet that an error quotes look like one we sent? */
static __always_inline bool quotes_live_binding(
    struct __sk_buff *skb, __u32 offset, const struct steering_address *exit)
{
    struct datagram quoted;
    struct icmp_head icmp;
    __be16 source_port;

    if (!read_datagram(skb, offset, bpf_ntohs(skb->protocol), &quoted))
        return false;
    if (!same_address(&quoted.source, exit) || is_later_fragment(&quoted))
        return false;

    switch (quoted.protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
        if (bpf_skb_load_bytes(skb, quoted.transport, &source_port, sizeof(source_port)))
            return false;
        return is_live_port(quoted.protocol, source_port);
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        if (bpf_skb_load_bytes(skb, quoted.transport, &icmp, sizeof(icmp)))
            return false;
        return is_echo_request(quoted.protocol, icmp.type) && is_live_query(&quoted.destination, icmp.identifier);
    default:
        return false;
    }
}

static __always_inline bool answers_live_binding(struct __sk_buff *skb, const struct datagram *datagram)
{
    struct icmp_head icmp;
    __be16 ports[2];

    switch (datagram->protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
        if (bpf_skb_load_bytes(skb, datagram->transport, ports, sizeof(ports)))
            return false;
        return is_live_port(datagram->protocol, ports[1]);
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        if (bpf_skb_load_bytes(skb, datagram->transport, &icmp, sizeof(icmp)))
            return false;
        if (is_echo_reply(datagram->protocol, icmp.type))
            return is_live_query(&datagram->source, icmp.identifier);
        return is_error(datagram->protocol, icmp.type)
            && quotes_live_binding(skb, datagram->transport + sizeof(icmp), &datagram->destination);
    default:
        return false;
    }
}

/* Later IPv6 fragments may name another protocol than the first, which shows what follows its extensions (RFC 8200
   section 4.5): there the protocol tells nothing. */
static __always_inline struct fragment_key fragment_key(const struct datagram *datagram)
{
    bool is_ipv4 = is_mapped(&datagram->source);
    return (struct fragment_key){
        .source = datagram->source, .id = datagram->fragment_id, .protocol = is_ipv4 ? datagram->protocol : 0 };
}

/* A fragment goes where its first one went. */
static __always_inline bool follows_ours(const struct datagram *datagram)
{
    struct fragment_key key = fragment_key(datagram);
    __u64 *passed = bpf_map_lookup_elem(&fragments, &key);

    return passed && bpf_ktime_get_ns() - *passed < fragment_lifetime_ns;
}

static __always_inline void remember_first_fragment(const struct datagram *datagram)
{
    struct fragment_key key = fragment_key(datagram);
    __u64 now = bpf_ktime_get_ns();

    bpf_map_update_elem(&fragments, &key, &now, BPF_ANY);
}

static __always_inline bool is_ours(struct __sk_buff *skb, const struct datagram *datagram)
{
    if (is_later_fragment(datagram))
        return follows_ours(datagram);
    if (!answers_live_binding(skb, datagram))
        return false;
    if (is_fragment(datagram))
        remember_first_fragment(datagram);
    return true;
}

/* What the VPN brings on its way into the tailnet, or would bring. Answers zero; global, as `count_arrival` is, so that the
   verifier walks it once. */
__noinline __u32 count_answer(struct __sk_buff *skb)
{
    __u32 offset = network_offset(&ways.vpn);

    count(meter_tunnel_ingress, wire_length(skb, offset, offset));
    if (uplink_of(skb))
        count(meter_uplink_client, wire_length(skb, offset, 0));
    return 0;
}

/* Where uplink and vpn are one, what is the host's is billed, too. */
__noinline __u32 count_host(struct __sk_buff *skb)
{
    return uplink_of(skb) ? count_arrival(skb) : 0;
}

static __always_inline int leave_to_host(struct __sk_buff *skb, enum steering_verdict verdict)
{
    count_host(skb);
    return conclude(verdict, TC_ACT_OK);
}

/*
 * Whose a fragment is that overtook its first one nobody can say yet. The host gets it, and so do we: its stack and
 * userspace both hold it for the first one, which comes to one of them only, and the other's copy is never claimed. It is
 * billed as a client's.
 */
static __always_inline int share(struct __sk_buff *skb)
{
    __u32 port = ways.outside_port;

    if (!port)
        return leave_to_host(skb, verdict_vpn_to_host);
    bpf_clone_redirect(skb, port, 0);
    count_answer(skb);
    return conclude(verdict_vpn_to_both, TC_ACT_OK);
}

SEC("tc")
int vpn_ingress(struct __sk_buff *skb)
{
    struct datagram datagram;

    if (skb->ifindex != ways.vpn.index || !is_ip(skb)
        || !read_datagram(skb, network_offset(&ways.vpn), bpf_ntohs(skb->protocol), &datagram))
        return leave_to_host(skb, verdict_vpn_to_host);
    if (!same_address(&datagram.destination, &ways.exit_ipv4)
        && !same_address(&datagram.destination, &ways.exit_ipv6))
        return leave_to_host(skb, verdict_vpn_to_host);
    if (!is_ours(skb, &datagram))
        return is_later_fragment(&datagram) ? share(skb) : leave_to_host(skb, verdict_vpn_to_host);

    count_answer(skb);
    __u32 port = ways.outside_port;
    if (!port)
        return conclude(verdict_vpn_closed, TC_ACT_SHOT);
    return conclude(verdict_vpn_to_port, bpf_redirect(port, 0));
}
