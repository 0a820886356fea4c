/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

#include "ip.h"

/*
 * Where tailscaled asks for names. An exit node's clients have it ask for theirs: whatever goes there may be a client's, so
 * it belongs to the VPN.
 *
 * A global function, which the verifier walks once, in words, because before kernel 5.12 it takes no pointers.
 */
bool is_client_dns(__be64 high, __be64 low, __u32 port);

static __always_inline bool is_within(__be32 word, __u32 prefix, __u32 length)
{
    return (bpf_ntohl(word) ^ prefix) >> (32 - length) == 0;
}
