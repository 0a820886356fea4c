#pragma once

/* Signals as something to read (signalfd(2)). */

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

/* Blocks the signals for the calling thread and those it starts from here on, and opens a descriptor that tells them. */
static inline int clinux_signal_descriptor(const int *signals, int count)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++)
        sigaddset(&set, signals[i]);
    int refused = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (refused != 0)
        return -refused;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* The next signal that came, 0 when none is waiting. */
static inline int clinux_next_signal(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}
