#pragma once

/* libbpf, the words that the programs share with us, and the programs themselves (scripts/bpf writes the skeleton). */

#include <stdbool.h>
#include <sys/types.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../bpf/steering.h"
#include "steering.skel.h"

static inline const char *cbpf_verdict_name(enum steering_verdict verdict)
{
#define CBPF_NAME(name) #name,
    static const char *const names[] = { STEERING_VERDICTS(CBPF_NAME, CBPF_NAME) };
#undef CBPF_NAME
    return names[verdict];
}

static inline bool cbpf_verdict_is_drop(enum steering_verdict verdict)
{
#define CBPF_PASS(name) false,
#define CBPF_DROP(name) true,
    static const bool drops[] = { STEERING_VERDICTS(CBPF_PASS, CBPF_DROP) };
#undef CBPF_DROP
#undef CBPF_PASS
    return drops[verdict];
}

/* The programs' globals, through the mapping that the skeleton keeps. Swift has no tuples as long as these arrays. */
static inline struct steering_ways *cbpf_ways(struct steering_bpf *skeleton) { return &skeleton->bss->ways; }
static inline __u64 *cbpf_live_tcp_ports(struct steering_bpf *skeleton) { return skeleton->bss->live_tcp_ports; }
static inline __u64 *cbpf_live_udp_ports(struct steering_bpf *skeleton) { return skeleton->bss->live_udp_ports; }
static inline __u64 *cbpf_live_queries(struct steering_bpf *skeleton) { return skeleton->bss->live_queries; }
