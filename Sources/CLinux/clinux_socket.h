#pragma once

/*
 * Sockets without sockaddr: addresses go in and come out as text, so that nothing above has to cast between structures
 * of different families. Same conventions as clinux.h.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Room for "[IPv6]:port" and the final NUL. */
enum { clinux_endpoint_text = 64 };

static inline socklen_t clinux_endpoint_parse(const char *address, uint16_t port, struct sockaddr_storage *endpoint) {
    memset(endpoint, 0, sizeof *endpoint);
    struct sockaddr_in *v4 = (struct sockaddr_in *)endpoint;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)endpoint;
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof *v6;
    }
    return 0;
}

/* "192.0.2.1:80" or "[2001:db8::1]:80". */
static inline void clinux_endpoint_format(const struct sockaddr_storage *endpoint, char text[clinux_endpoint_text]) {
    char address[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)endpoint;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)endpoint;
    if (endpoint->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, address, sizeof address);
        snprintf(text, clinux_endpoint_text, "[%s]:%u", address, ntohs(v6->sin6_port));
    } else {
        inet_ntop(AF_INET, &v4->sin_addr, address, sizeof address);
        snprintf(text, clinux_endpoint_text, "%s:%u", address, ntohs(v4->sin_port));
    }
}

static inline int clinux_socket_close_with(int fd, int error) {
    close(fd);
    return -error;
}

/* Every blocking call on the socket gives up (EAGAIN) after so many milliseconds without progress. */
static inline int clinux_socket_limit(int fd, int milliseconds) {
    struct timeval limit = { milliseconds / 1000, milliseconds % 1000 * 1000 };
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) return -errno;
    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ? -errno : 0;
}

/* Bound as a server's is: what was a connection's a moment ago may be taken. `v6_only` is of IPv6 sockets (ipv6(7)). */
static inline int clinux_socket_bound(int type, const char *address, uint16_t port, int v6_only) {
    struct sockaddr_storage endpoint;
    socklen_t length = clinux_endpoint_parse(address, port, &endpoint);
    if (length == 0) return -EINVAL;
    int fd = socket(endpoint.ss_family, type | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (endpoint.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    if (bind(fd, (struct sockaddr *)&endpoint, length) < 0) return clinux_socket_close_with(fd, errno);
    return fd;
}

/* Bound, and listening if it is a stream. IPv6 sockets take IPv6 only. */
static inline int clinux_socket_bind(int type, const char *address, uint16_t port) {
    int fd = clinux_socket_bound(type, address, port, 1);
    if (fd < 0) return fd;
    if ((type & 0xf) == SOCK_STREAM && listen(fd, 4096) < 0) return clinux_socket_close_with(fd, errno);
    return fd;
}

/*
 * Takes an address as a server of streams would, and lets go of it without listening: nobody is answered. EADDRINUSE where
 * somebody listens. As for a server, `::` is every address, IPv4's too.
 */
static inline int clinux_socket_try_bind(const char *address, uint16_t port) {
    int fd = clinux_socket_bound(SOCK_STREAM, address, port, 0);
    if (fd < 0) return fd;
    close(fd);
    return 0;
}

/* Connected; with SOCK_NONBLOCK in `type` the handshake may still be under way. Streams send small writes at once. */
static inline int clinux_socket_connect(int type, const char *address, uint16_t port, int milliseconds) {
    struct sockaddr_storage endpoint;
    socklen_t length = clinux_endpoint_parse(address, port, &endpoint);
    if (length == 0) return -EINVAL;
    int fd = socket(endpoint.ss_family, type | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return -errno;
    int answer = clinux_socket_limit(fd, milliseconds);
    if (answer < 0) return clinux_socket_close_with(fd, -answer);
    if ((type & 0xf) == SOCK_STREAM) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&endpoint, length) < 0 && errno != EINPROGRESS)
        return clinux_socket_close_with(fd, errno);
    return fd;
}

/* The next connection, and where it seems to come from. */
static inline int clinux_socket_accept(int listener, char peer[clinux_endpoint_text]) {
    struct sockaddr_storage endpoint;
    socklen_t length = sizeof endpoint;
    int fd = accept(listener, (struct sockaddr *)&endpoint, &length);
    if (fd < 0) return -errno;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return clinux_socket_close_with(fd, errno);
    clinux_endpoint_format(&endpoint, peer);
    return fd;
}

/* Takes one datagram and sends it back; one that reads "who" is answered with the sender's endpoint as text. */
static inline ssize_t clinux_socket_echo_datagram(int fd, void *buffer, size_t capacity) {
    struct sockaddr_storage endpoint;
    socklen_t length = sizeof endpoint;
    ssize_t count = recvfrom(fd, buffer, capacity, MSG_DONTWAIT, (struct sockaddr *)&endpoint, &length);
    if (count < 0) return -errno;
    if (count == 3 && memcmp(buffer, "who", 3) == 0) {
        clinux_endpoint_format(&endpoint, (char *)buffer);
        count = (ssize_t)strlen((char *)buffer);
    }
    return sendto(fd, buffer, (size_t)count, MSG_DONTWAIT, (struct sockaddr *)&endpoint, length) < 0 ? -errno : count;
}

/* One datagram from an unconnected socket. */
static inline ssize_t clinux_socket_send_to(int fd, const char *address, uint16_t port, const void *octets, size_t count) {
    struct sockaddr_storage endpoint;
    socklen_t length = clinux_endpoint_parse(address, port, &endpoint);
    if (length == 0) return -EINVAL;
    ssize_t sent = sendto(fd, octets, count, 0, (struct sockaddr *)&endpoint, length);
    return sent < 0 ? -errno : sent;
}

/* For IP packets that bring their own header, which the kernel sends as they are (raw(7), IPPROTO_RAW). */
static inline int clinux_socket_raw(const char *address) {
    struct sockaddr_storage endpoint;
    if (clinux_endpoint_parse(address, 0, &endpoint) == 0) return -EINVAL;
    int fd = socket(endpoint.ss_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    return fd < 0 ? -errno : fd;
}

/*
 * Sees every packet of an interface, both ways, from the network header on (packet(7), SOCK_DGRAM); of all interfaces, those
 * to come among them, where the name is empty.
 */
static inline int clinux_socket_watch(const char *interface) {
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 64 << 20;
    if (fd < 0) return -errno;
    struct ifreq request = { 0 };
    strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    if (*interface && ioctl(fd, SIOCGIFINDEX, &request) < 0) return clinux_socket_close_with(fd, errno);
    struct sockaddr_ll link = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = request.ifr_ifindex
    };
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    return bind(fd, (struct sockaddr *)&link, sizeof link) < 0 ? clinux_socket_close_with(fd, errno) : fd;
}

/* The next packet that a watcher saw; `index` is the interface's, and `sent` tells that the host itself sent it. */
static inline ssize_t clinux_socket_sight(int fd, void *buffer, size_t capacity, int *index, int *sent) {
    struct sockaddr_ll link;
    socklen_t length = sizeof link;
    ssize_t count = recvfrom(fd, buffer, capacity, MSG_DONTWAIT, (struct sockaddr *)&link, &length);
    if (count < 0) return -errno;
    *index = link.sll_ifindex;
    *sent = link.sll_pkttype == PACKET_OUTGOING;
    return count;
}

/* Packets that found the watcher's buffer full, since the last question. */
static inline int clinux_socket_missed(int fd) {
    struct tpacket_stats statistics;
    socklen_t length = sizeof statistics;
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &length) < 0) return -errno;
    return (int)statistics.tp_drops;
}

/*
 * Sends an empty datagram by an interface, with a mark, that the next router discards: it may live for one hop. A firewall
 * that refuses what the host sends answers with EPERM, as does the kernel to a process without CAP_NET_ADMIN.
 */
static inline int clinux_socket_try(const char *interface, uint32_t mark, const char *address, uint16_t port) {
    struct sockaddr_storage endpoint;
    socklen_t length = clinux_endpoint_parse(address, port, &endpoint);
    if (length == 0) return -EINVAL;
    int fd = socket(endpoint.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), hops = 1;
    if (fd < 0) return -errno;
    int level = endpoint.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    int option = endpoint.ss_family == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS;
    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0
        || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) < 0
        || setsockopt(fd, level, option, &hops, sizeof hops) < 0
        || sendto(fd, "", 0, 0, (struct sockaddr *)&endpoint, length) < 0)
        return clinux_socket_close_with(fd, errno);
    return close(fd);
}
