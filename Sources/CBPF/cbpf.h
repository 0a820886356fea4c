#pragma once

/* libbpf, the words that the programs share with us, and the programs themselves (scripts/bpf writes the skeleton). */

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../bpf/marks.h"
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

static inline const char *cbpf_guard_verdict_name(enum steering_guard_verdict verdict)
{
#define CBPF_NAME(name) #name,
    static const char *const names[] = { STEERING_GUARD_VERDICTS(CBPF_NAME, CBPF_NAME) };
#undef CBPF_NAME
    return names[verdict];
}

static inline bool cbpf_guard_verdict_is_refusal(enum steering_guard_verdict verdict)
{
    return verdict >= guard_forwarded;
}

static inline const char *cbpf_meter_name(enum steering_meter meter)
{
#define CBPF_NAME(name) #name,
    static const char *const names[] = { STEERING_METERS(CBPF_NAME) };
#undef CBPF_NAME
    return names[meter];
}

/*
 * The programs at an interface's tcx hook, Linux 6.6, and the links that hold them (0: none does). Answers how many, or
 * -errno. Headers and libbpf of Linux 6.1 know neither the hook nor `link_ids`, hence the members of `union bpf_attr`
 * that BPF_PROG_QUERY reads and the hook's numbers (enum bpf_attach_type, from BPF_TCX_INGRESS on) are written here.
 */
enum cbpf_tcx { CBPF_TCX_INGRESS = 46, CBPF_TCX_EGRESS = 47 };

/* BPF_MPROG_MAX: a hook holds no more. */
enum { CBPF_TCX_PROGRAMS = 64 };

static inline int cbpf_tcx_programs(int interface, enum cbpf_tcx hook, __u32 *programs, __u32 *links)
{
    struct {
        __u32 target_ifindex, attach_type, query_flags, attach_flags;
        __u64 prog_ids;
        __u32 count, unused;
        __u64 prog_attach_flags, link_ids, link_attach_flags, revision;
    } query;
    _Static_assert(sizeof query == 64, "the members stand where the kernel reads them");
    memset(&query, 0, sizeof query);
    query.target_ifindex = interface;
    query.attach_type = hook;
    query.prog_ids = (__u64)(unsigned long)programs;
    query.link_ids = (__u64)(unsigned long)links;
    query.count = CBPF_TCX_PROGRAMS;
    return syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) < 0 ? -errno : (int)query.count;
}

/* The programs' globals, through the mapping that the skeleton keeps. Swift has no tuples as long as these arrays. */
static inline struct steering_ways *cbpf_ways(struct steering_bpf *skeleton) { return &skeleton->bss->ways; }
static inline struct steering_guard *cbpf_guard(struct steering_bpf *skeleton) { return &skeleton->bss->guard; }
static inline struct steering_edge *cbpf_uplinks(struct steering_guard *guard) { return guard->uplinks; }
static inline __u32 *cbpf_vpn_marks(struct steering_guard *guard) { return guard->vpn_marks; }
static inline struct steering_endpoint *cbpf_endpoints(struct steering_guard *guard) { return guard->endpoints; }
static inline __u64 *cbpf_services(struct steering_guard *guard) { return guard->services; }
static inline __u64 *cbpf_live_tcp_ports(struct steering_bpf *skeleton) { return skeleton->bss->live_tcp_ports; }
static inline __u64 *cbpf_live_udp_ports(struct steering_bpf *skeleton) { return skeleton->bss->live_udp_ports; }
static inline __u64 *cbpf_live_queries(struct steering_bpf *skeleton) { return skeleton->bss->live_queries; }
