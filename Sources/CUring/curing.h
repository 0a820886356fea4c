#pragma once

/*
 * io_uring as the packet loop uses it: one ring, two buffer rings, reads that stay armed, writes that say when they are
 * done. Each function answers -errno and keeps no state of its own.
 */

/*
 * <sys/types.h> and <sys/select.h> come first: a clean build otherwise fails on fd_set inside <liburing.h>. So does the
 * kernel's io_uring.h, which shares its include guard with liburing's older copy: swift-system imports the kernel's, and
 * one module must not see two layouts of a type.
 */
#include <sys/types.h>
#include <sys/select.h>
#include <errno.h>
#include <poll.h>
#include <linux/io_uring.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

/* Linux 6.7; the headers of Debian 12 end before it. */
enum { CURING_OP_READ_MULTISHOT = 49 };

struct curing_completion {
    uint64_t tag;
    int32_t result;
    uint32_t flags;
};

/* Multishot reads are sound from Linux 6.8 on: 6.7 could sit on a packet for seconds. */
static inline bool curing_has_multishot_read(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
        return false;
    return major > 6 || (major == 6 && minor >= 8);
}

/* Opens the ring on the thread that will use it. Both flags are older than sound multishot reads. */
static inline int curing_open(struct io_uring *ring, unsigned entries)
{
    struct io_uring_params parameters;
    memset(&parameters, 0, sizeof parameters);
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    return io_uring_queue_init_params(entries, ring, &parameters);
}

/* Makes a ring of provided buffers; `memory` is page-aligned and holds `count` entries of sixteen octets. */
static inline int curing_provide(struct io_uring *ring, void *memory, unsigned count, int group)
{
    struct io_uring_buf_reg registration;
    memset(&registration, 0, sizeof registration);
    registration.ring_addr = (unsigned long)memory;
    registration.ring_entries = count;
    registration.bgid = (uint16_t)group;
    int answer = io_uring_register_buf_ring(ring, &registration, 0);
    if (answer == 0)
        io_uring_buf_ring_init((struct io_uring_buf_ring *)memory);
    return answer;
}

/* Hands one buffer to the kernel; seen by it after curing_publish. */
static inline void curing_return(void *memory, void *buffer, unsigned length, uint16_t id, unsigned count, int offset)
{
    io_uring_buf_ring_add((struct io_uring_buf_ring *)memory, buffer, length, id, io_uring_buf_ring_mask(count), offset);
}

static inline void curing_publish(void *memory, int count)
{
    io_uring_buf_ring_advance((struct io_uring_buf_ring *)memory, count);
}

/* The next free submission; submits what is queued when there is none. */
static inline struct io_uring_sqe *curing_submission(struct io_uring *ring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    if (entry == NULL) {
        io_uring_submit(ring);
        entry = io_uring_get_sqe(ring);
    }
    return entry;
}

static inline bool curing_read_multishot(struct io_uring *ring, int fd, int group, uint64_t tag)
{
    struct io_uring_sqe *entry = curing_submission(ring);
    if (entry == NULL)
        return false;
    io_uring_prep_rw(CURING_OP_READ_MULTISHOT, entry, fd, NULL, 0, (uint64_t)-1);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = (uint16_t)group;
    io_uring_sqe_set_data64(entry, tag);
    return true;
}

static inline bool curing_poll_multishot(struct io_uring *ring, int fd, uint64_t tag)
{
    struct io_uring_sqe *entry = curing_submission(ring);
    if (entry == NULL)
        return false;
    io_uring_prep_poll_multishot(entry, fd, POLLIN);
    io_uring_sqe_set_data64(entry, tag);
    return true;
}

static inline bool curing_write(struct io_uring *ring, int fd, const void *octets, unsigned length, uint64_t tag)
{
    struct io_uring_sqe *entry = curing_submission(ring);
    if (entry == NULL)
        return false;
    io_uring_prep_write(entry, fd, octets, length, (uint64_t)-1);
    io_uring_sqe_set_data64(entry, tag);
    return true;
}

/* Submits what is queued and waits for nothing. */
static inline void curing_flush(struct io_uring *ring) { io_uring_submit(ring); }

/* Submits and waits for one completion, at most `milliseconds`. 0 when the time has passed or a signal came. */
static inline int curing_submit_and_wait(struct io_uring *ring, int64_t milliseconds)
{
    struct __kernel_timespec limit = { milliseconds / 1000, (milliseconds % 1000) * 1000000 };
    struct io_uring_cqe *first;
    int answer = io_uring_submit_and_wait_timeout(ring, &first, 1, &limit, NULL);
    return answer == -ETIME || answer == -EINTR || answer == -EAGAIN || answer == -EBUSY ? 0 : answer;
}

static inline bool curing_take(struct io_uring *ring, struct curing_completion *completion)
{
    struct io_uring_cqe *entry;
    unsigned head;
    io_uring_for_each_cqe(ring, head, entry) {
        completion->tag = entry->user_data;
        completion->result = entry->res;
        completion->flags = entry->flags;
        io_uring_cq_advance(ring, 1);
        return true;
    }
    return false;
}
