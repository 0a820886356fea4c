/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

/* The state that all programs share; `maps.bpf.c` defines it, the loading process writes it. */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steering.h"

/* Every object that is linked into one must name the same licence. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";

extern struct steering_ways ways;
extern struct steering_guard guard;

/* One bit per port that a live binding borrows, and the fingerprints of live ICMP queries. Userspace stores whole words
   while the programs read them: a reader sees the word before or after, never half of it. */
extern __u64 live_tcp_ports[STEERING_PORT_WORDS];
extern __u64 live_udp_ports[STEERING_PORT_WORDS];
extern __u64 live_queries[STEERING_QUERIES];

/* Destinations that stay with the host. */
struct kept_local {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, STEERING_KEPT_PREFIXES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct steering_prefix);
    __type(value, __u8);
};
extern struct kept_local kept_local SEC(".maps");

struct verdicts {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, STEERING_VERDICT_COUNT);
    __type(key, __u32);
    __type(value, __u64);
};
extern struct verdicts verdicts SEC(".maps");

struct meters {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, STEERING_METER_COUNT);
    __type(key, __u32);
    __type(value, struct steering_count);
};
extern struct meters meters SEC(".maps");

/* Counts the verdict and answers with the action, so that no return goes uncounted. */
static __always_inline int conclude(enum steering_verdict verdict, int action)
{
    __u32 key = verdict;
    __u64 *packets = bpf_map_lookup_elem(&verdicts, &key);

    if (packets)
        *packets += 1;
    return action;
}
