/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

/* Counts what came in as it was on the wire. What leaves, the kernel tells (`wire_len`). */

#include "maps.h"

static __always_inline void count(enum steering_meter meter, __u64 bytes)
{
    __u32 key = meter;
    struct steering_count *count = bpf_map_lookup_elem(&meters, &key);

    if (count) {
        count->packets += 1;
        count->bytes += bytes;
    }
}

/*
 * Octets on the wire from @lead on: of a super-packet those of its segments, each with all headers. Of one that came in,
 * the kernel tells its whole length and how much payload a segment had.
 *
 * @offset: where the IP header begins.
 */
__u64 wire_length(struct __sk_buff *skb, __u32 offset, __u32 lead);

/* Counts what an uplink brought and is no client's. Answers zero. */
__u32 count_arrival(struct __sk_buff *skb);

static __always_inline const struct steering_edge *uplink_of(const struct __sk_buff *skb)
{
#pragma unroll
    for (int i = 0; i < STEERING_UPLINKS; i++)
        if (guard.uplinks[i].index == skb->ifindex)
            return &guard.uplinks[i];
    return NULL;
}
