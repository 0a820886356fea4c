/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

#include <linux/bpf.h>
#include <linux/in6.h>

/* Where the extension headers of an IPv6 packet end, and of a fragment also where its fragment header is and what that
   says. Offsets fit: two IP headers, each with as many extension headers as we follow, stay below 33,000. */
union chain_end {
    __u64 word;
    struct {
        __u16 transport;
        __u16 fragment_header;
        __u16 fragment;
        __u8 protocol;
    };
};

struct extension {
    __u8 next;
    __u8 length;
    __be16 fragment;
    __be32 fragment_id;
};

/*
 * Follows RFC 8200 section 4 to the first header that is not an extension. A walk that needs more than
 * EXTENSION_HEADERS steps ends at an extension, which is nobody's transport. Answers zero for what is truncated,
 * because no transport begins there.
 *
 * A global function, because the verifier walks one of those once and by itself; a static one it walks at each call,
 * and then the caller once for each way that the walk can end: 60,000 instructions instead of 5,000. Before kernel
 * 5.12 a global function takes no pointer but skb, hence the one word that comes back.
 */
__u64 follow_extensions(struct __sk_buff *skb, __u32 offset, __u32 protocol);
