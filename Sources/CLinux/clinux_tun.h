#pragma once

/* Tun devices of our own: the ioctls with their structures. */

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(struct virtio_net_hdr) == 10, "the vnet header that PacketParse reads has ten octets");

/* Headers of Linux 6.1 and older do not name the UDP offloads of 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
    CLINUX_TUN_OFFLOADS_NONE = 0,
    CLINUX_TUN_OFFLOADS_TCP = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
    CLINUX_TUN_OFFLOADS_ALL = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
};

static inline int clinux_tun_open_device(void)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Makes the device; -EBUSY where the name is in use (IFF_TUN_EXCL: never joins somebody else's). */
static inline int clinux_tun_create(int fd, const char *name)
{
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    return ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : 0;
}

/* Before the device is made. */
static inline int clinux_tun_set_index(int fd, unsigned index)
{
    return ioctl(fd, TUNSETIFINDEX, &index) < 0 ? -errno : 0;
}

static inline int clinux_tun_set_header_size(int fd, int size)
{
    return ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ? -errno : 0;
}

static inline int clinux_tun_set_offloads(int fd, unsigned offloads)
{
    return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) < 0 ? -errno : 0;
}
