#pragma once

/*
 * The kernel's door for what Glibc's Swift overlay does not carry: ioctls with structures, variadic calls, namespaces,
 * capabilities. Every function is `static inline`, prefixed `clinux_`, keeps no state and answers -errno.
 */

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

_Static_assert(sizeof(struct virtio_net_hdr) == 10, "the vnet header that PacketParse reads has ten octets");

/* Brings a cache line in ahead of its use. */
static inline void clinux_prefetch(const void *address) { __builtin_prefetch(address, 1, 3); }
