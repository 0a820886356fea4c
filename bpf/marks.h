/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

/* Marks of sockets and packets (SO_MARK, fwmark) that mean something between Tailscale, the programs and the rules. */

/* Tailscale's, on its own sockets: not to be routed into the tunnel (net/netns in its source). Other bits are not asked. */
#define STEERING_BYPASS_MARK 0x00080000u
#define STEERING_BYPASS_MASK 0x00ff0000u

/* Ours, in bits that neither Tailscale nor Gluetun uses, on what leaves by the uplink: the control plane, and what the
   stub resolver asks there. */
#define STEERING_CONTROL_MARK 0x01000000u
#define STEERING_QUESTION_MARK 0x02000000u
#define STEERING_OUR_MASK 0xff000000u

static inline bool bears_bypass(__u32 mark) { return (mark & STEERING_BYPASS_MASK) == STEERING_BYPASS_MARK; }
