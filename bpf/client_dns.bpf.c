// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include "client_dns.h"

enum { DNS = 53, DNS_OVER_TLS = 853, HTTPS = 443 };

/*
 * The resolvers that tailscaled knows to speak DNS over HTTPS (net/dns/publicdns in its source, 2026-11), as the smallest
 * prefixes that hold a provider's: Cloudflare, Google, Quad9, Mullvad, Wikimedia, Control D, NextDNS.
 */
static __always_inline bool is_https_resolver(const struct steering_address *address)
{
    __be32 word = address->words[3];

    if (is_mapped(address))
        return is_within(word, 0x01010100, 30)      /* 1.1.1.0 */
            || is_within(word, 0x01000000, 30)      /* 1.0.0.0 */
            || is_within(word, 0x08080808, 32)      /* 8.8.8.8 */
            || is_within(word, 0x08080404, 32)      /* 8.8.4.4 */
            || is_within(word, 0x09090908, 30)      /* 9.9.9.8 */
            || is_within(word, 0x9570700a, 31)      /* 149.112.112.10 */
            || is_within(word, 0x95707070, 32)      /* 149.112.112.112 */
            || is_within(word, 0xc2f20200, 28)      /* 194.242.2.0 */
            || is_within(word, 0xb9478a8a, 32)      /* 185.71.138.138 */
            || is_within(word, 0x4c4c0200, 26)      /* 76.76.2.0 */
            || is_within(word, 0x4c4c0a00, 26)      /* 76.76.10.0 */
            || is_within(word, 0x2d5a1c00, 24)      /* 45.90.28.0 */
            || is_within(word, 0x2d5a1e00, 24);     /* 45.90.30.0 */

    __u32 first = bpf_ntohl(address->words[0]);
    __u32 third = bpf_ntohl(address->words[1]) >> 16;

    return (first == 0x26064700 && third == 0x4700) /* 2606:4700:4700::/48 */
        || (first == 0x20014860 && third == 0x4860) /* 2001:4860:4860::/48 */
        || (first == 0x262000fe && third == 0)      /* 2620:fe::/48 */
        || (first == 0x2a07e340 && third == 0)      /* 2a07:e340::/48 */
        || (first == 0x2001067c && third == 0x0930) /* 2001:67c:930::/48 */
        || (first == 0x26061a40 && third <= 1)      /* 2606:1a40::/47 */
        || first >> 1 == 0x2a07a8c0 >> 1;           /* 2a07:a8c0::/31 */
}

__noinline bool is_client_dns(__be64 high, __be64 low, __u32 port)
{
    struct halves halves = { high, low };
    struct steering_address destination;

    __builtin_memcpy(&destination, &halves, sizeof(destination));
    return port == DNS || port == DNS_OVER_TLS || (port == HTTPS && is_https_resolver(&destination));
}
