// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include "extensions.h"
#include "maps.h"

enum { EXTENSION_HEADERS = 8 };

__noinline __u64 follow_extensions(struct __sk_buff *skb, __u32 offset, __u32 protocol)
{
    union chain_end end = {};

    for (int i = 0; i < EXTENSION_HEADERS; i++) {
        struct extension extension;

        if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING && protocol != IPPROTO_DSTOPTS
            && protocol != IPPROTO_FRAGMENT)
            break;
        if (bpf_skb_load_bytes(skb, offset, &extension, sizeof(extension)))
            return 0;
        if (protocol == IPPROTO_FRAGMENT) {
            end.fragment_header = offset;
            end.fragment = bpf_ntohs(extension.fragment) & 0xfff9;
            extension.length = 0;
        }
        protocol = extension.next;
        offset += 8 + extension.length * 8;
        if (end.fragment > 1)
            break;
    }
    end.transport = offset;
    end.protocol = protocol;
    return end.word;
}
