// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include "maps.h"

struct steering_ways ways;
struct steering_guard guard;
__u64 live_tcp_ports[STEERING_PORT_WORDS];
__u64 live_udp_ports[STEERING_PORT_WORDS];
__u64 live_queries[STEERING_QUERIES];

struct kept_local kept_local SEC(".maps");
struct verdicts verdicts SEC(".maps");
struct meters meters SEC(".maps");
