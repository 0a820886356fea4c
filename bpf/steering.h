/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

/*
 * What the programs and the process that loads them say to each other. The programs' C and Swift (through CBPF) include
 * this one file, so there is no second list that has to agree with it.
 */

#include <linux/types.h>

/* An address as its sixteen octets lie on the wire; IPv4 in mapped form (::ffff:a.b.c.d). All zero: none,
   for nothing is sent to the unspecified address. */
struct steering_address {
    __be32 words[4];
};

/* An interface that we attach to and do not own; index zero: it is not there. Packets of an Ethernet one begin with the
   link-layer header, those of an L3 one (tun, WireGuard) with the IP header. Both are known also while the ways are
   closed: what is kept local is still read. */
struct steering_edge {
    __u32 index;
    __u32 is_ethernet;
};

/* Where packets go. A program that stands on an interface other than its edge, because that was renamed or another one
   was chosen, forwards nothing. Ports of zero are closed: what would go there is dropped, and so is what comes from
   them. */
struct steering_ways {
    struct steering_edge tailnet;
    struct steering_edge vpn;
    __u32 inside_port;
    __u32 outside_port;
    struct steering_address exit_ipv4;
    struct steering_address exit_ipv6;
};

/* Keys of the trie of destinations that stay with the host. The length counts from the first of the sixteen octets, so
   an IPv4 prefix is 96 bits longer here than as written. */
struct steering_prefix {
    __u32 length;
    struct steering_address address;
};

enum {
    STEERING_KEPT_PREFIXES = 1024,
    STEERING_PORT_WORDS = 65536 / 64,
    STEERING_QUERIES = 16384,
};

/* Every verdict, each a counter of packets (a super-packet is one), as what becomes of such a packet: it passes, or it is
   a drop. "to_host" leaves a packet to the namespace's own stack, "to_both" does so too and gives us a copy. */
#define STEERING_VERDICTS(pass, drop) \
    pass(tailnet_to_port)             \
    pass(tailnet_to_host)             \
    drop(tailnet_closed)              \
    drop(tailnet_malformed)           \
    pass(vpn_to_port)                 \
    pass(vpn_to_host)                 \
    pass(vpn_to_both)                 \
    drop(vpn_closed)                  \
    pass(inside_to_edge)              \
    drop(inside_closed)               \
    drop(inside_no_headroom)          \
    pass(outside_to_edge)             \
    drop(outside_closed)              \
    drop(outside_no_headroom)

enum steering_verdict {
#define STEERING_ENUMERATOR(name) verdict_##name,
    STEERING_VERDICTS(STEERING_ENUMERATOR, STEERING_ENUMERATOR)
#undef STEERING_ENUMERATOR
    STEERING_VERDICT_COUNT
};

/* Where the VPN's server is; the first with port zero is the end of them. The port is in the host's order. */
struct steering_endpoint {
    struct steering_address address;
    __u32 port;
};

enum {
    STEERING_UPLINKS = 4,
    STEERING_VPN_MARKS = 4,
    STEERING_ENDPOINTS = 8,
};

/* What the guard on the uplinks goes by. Unused entries are zero. */
struct steering_guard {
    /* Lets pass what it would refuse, and counts it as leaked. */
    __u32 observes;
    /* The interfaces that it stands on, each of which has its own counts. Where it stands and does not know it, it refuses
       everything, and counts that as the first's. */
    struct steering_edge uplinks[STEERING_UPLINKS];
    /* What the VPN's own packets bear. */
    __u32 vpn_marks[STEERING_VPN_MARKS];
    struct steering_endpoint endpoints[STEERING_ENDPOINTS];
    /* One bit per port of services that may answer, TCP's first, then UDP's. */
    __u64 services[2 * STEERING_PORT_WORDS];
};

/* What becomes of a packet at the guard: it passes, in a class, or is refused, for a reason. */
#define STEERING_GUARD_VERDICTS(pass, refuse) \
    pass(control)                             \
    pass(encapsulation)                       \
    pass(management)                          \
    pass(client)                              \
    pass(routed)                              \
    refuse(forwarded)                         \
    refuse(client_dns)                        \
    refuse(unmarked)                          \
    refuse(other_protocol)                    \
    refuse(unreadable)

enum steering_guard_verdict {
#define STEERING_ENUMERATOR(name) guard_##name,
    STEERING_GUARD_VERDICTS(STEERING_ENUMERATOR, STEERING_ENUMERATOR)
#undef STEERING_ENUMERATOR
    STEERING_GUARD_VERDICT_COUNT
};

/* Of one uplink's one verdict: bytes with the link layer's header, a super-packet's as those of its segments. Those of
   a refusal that was only observed are the last. */
struct steering_tally {
    __u64 packets;
    __u64 bytes;
    __u64 leaked_packets;
    __u64 leaked_bytes;
};

/* Where bytes are counted that the guard does not see leave: what an uplink brings, in classes, then the clients' own
   inside the tunnel, either way. Never cleared: a bill is made of differences. */
#define STEERING_METERS(meter)   \
    meter(uplink_control)        \
    meter(uplink_encapsulation)  \
    meter(uplink_management)     \
    meter(uplink_client)         \
    meter(tunnel_egress)         \
    meter(tunnel_ingress)

enum steering_meter {
#define STEERING_ENUMERATOR(name) meter_##name,
    STEERING_METERS(STEERING_ENUMERATOR)
#undef STEERING_ENUMERATOR
    STEERING_METER_COUNT
};

/* Of an uplink with the link layer's header, inside the tunnel without; a super-packet as its segments. */
struct steering_count {
    __u64 packets;
    __u64 bytes;
};
