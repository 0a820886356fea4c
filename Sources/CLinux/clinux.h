#pragma once

/*
 * The kernel's door for what Glibc's Swift overlay does not carry: ioctls with structures, variadic calls, namespaces,
 * capabilities. Every function is `static inline`, prefixed `clinux_`, keeps no state and answers -errno.
 *
 * `struct ifreq` comes from <net/if.h>, as in Swift's Glibc: beside it, the one of <linux/if.h> is an error of the
 * compiler.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/memfd.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Brings a cache line in ahead of its use. */
static inline void clinux_prefetch(const void *address) { __builtin_prefetch(address, 1, 3); }

/* Names the calling thread; the kernel keeps 15 octets. */
static inline int clinux_name_thread(const char *name) {
    return prctl(PR_SET_NAME, name, 0, 0, 0) < 0 ? -errno : 0;
}

/* Has the kernel reclaim a process' memory, as it does when it is short of it: clean pages go, and come back from their
 * file (Linux 5.10). Answers how many octets were looked at. */
static inline int64_t clinux_page_out(pid_t pid, uintptr_t begin, size_t length) {
    struct iovec range = {(void *)begin, length};
    long process = syscall(SYS_pidfd_open, pid, 0);
    if (process < 0) return -errno;
    long octets = syscall(SYS_process_madvise, (int)process, &range, 1UL, MADV_PAGEOUT, 0U);
    int64_t answer = octets < 0 ? -errno : octets;
    close((int)process);
    return answer;
}

/* A file that lives in memory and has no name. */
static inline int clinux_memory_file(const char *label) {
    long fd = syscall(SYS_memfd_create, label, MFD_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

/* Whether something keeps the clock right (adjtimex(2)): 1 or 0. */
static inline int clinux_clock_is_synchronized(void) {
    struct timex state;
    memset(&state, 0, sizeof state);
    int answer = adjtimex(&state);
    return answer < 0 ? -errno : answer != TIME_ERROR && !(state.status & STA_UNSYNC);
}

/* ---- namespaces ---- */

/* Gives the calling thread a network and a mount namespace of its own; nothing mounted there shows outside. */
static inline int clinux_unshare_net_and_mount(void) {
    if (syscall(SYS_unshare, CLONE_NEWNET | CLONE_NEWNS) < 0) return -errno;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

/* Moves the calling thread. One that shares its working directory may not change mount namespace: unshare first. */
static inline int clinux_enter_net_and_mount(int net, int mount_namespace) {
    if (syscall(SYS_unshare, CLONE_FS) < 0) return -errno;
    if (syscall(SYS_setns, net, CLONE_NEWNET) < 0) return -errno;
    return syscall(SYS_setns, mount_namespace, CLONE_NEWNS) < 0 ? -errno : 0;
}

/* A new, empty instance of a file system that needs no device. */
static inline int clinux_mount(const char *type, const char *target) {
    return mount(type, target, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? -errno : 0;
}

/* Shows a file or directory at another place, too. */
static inline int clinux_bind(const char *source, const char *target) {
    return mount(source, target, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* ---- capabilities ---- */

/* The calling thread's effective set, one bit per capability. */
static inline int clinux_effective_capabilities(uint64_t *set) {
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0) return -errno;
    *set = (uint64_t)data[1].effective << 32 | data[0].effective;
    return 0;
}

/*
 * Leaves exactly `keep` to whatever this thread executes next. For uid 0 an exec grants the bounding set, so that is
 * what must shrink (capabilities(7), "Capabilities and execution of programs by root").
 */
static inline int clinux_reduce_capabilities(uint64_t keep) {
    for (int number = 0; number < 64 && prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++)
        if (!(keep >> number & 1) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) return -errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return -errno;
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = {
        { (uint32_t)keep, (uint32_t)keep, 0 },
        { (uint32_t)(keep >> 32), (uint32_t)(keep >> 32), 0 },
    };
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* ---- processes ---- */

struct clinux_child {
    char *const *arguments;         /* ends with NULL; the first is looked up in PATH */
    int net, mount_namespace;       /* -1: the caller's */
    int standard[3];                /* become descriptors 0, 1, 2 */
    uint64_t capabilities;          /* all bits set: as the caller */
};

/* The steps of a start that the kernel may refuse, in their order. */
enum clinux_step { clinux_step_fork, clinux_step_setns, clinux_step_dup, clinux_step_capset, clinux_step_exec };

struct clinux_refusal { int step, error; };

/* Between fork and exec, where only async-signal-safe calls are allowed. Returns only when a step was refused. */
static inline struct clinux_refusal clinux_become(const struct clinux_child *child, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    /* The signal comes when the *thread* that forked ends; it may already have ended before this line. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(127);
    if (child->net >= 0 && syscall(SYS_setns, child->net, CLONE_NEWNET) < 0)
        return (struct clinux_refusal){ clinux_step_setns, errno };
    if (child->mount_namespace >= 0 && syscall(SYS_setns, child->mount_namespace, CLONE_NEWNS) < 0)
        return (struct clinux_refusal){ clinux_step_setns, errno };
    for (int number = 0; number < 3; number++)
        if (dup2(child->standard[number], number) < 0) return (struct clinux_refusal){ clinux_step_dup, errno };
    /* What some library opened without O_CLOEXEC must not keep a pipe open. Before kernel 5.11: refused, fine. */
    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
    if (child->capabilities != UINT64_MAX) {
        int answer = clinux_reduce_capabilities(child->capabilities);
        if (answer < 0) return (struct clinux_refusal){ clinux_step_capset, -answer };
    }
    execvp(child->arguments[0], child->arguments);
    return (struct clinux_refusal){ clinux_step_exec, errno };
}

/*
 * Starts a child in its own session, killed when the calling thread ends. Answers its pid once the program runs, or
 * -errno with the refused step. `step` is written only then.
 */
static inline pid_t clinux_spawn(const struct clinux_child *child, int *step) {
    int report[2];
    struct clinux_refusal refusal = { clinux_step_fork, 0 };
    *step = clinux_step_fork;
    if (syscall(SYS_pipe2, report, O_CLOEXEC) < 0) return -errno;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        refusal = clinux_become(child, parent);
        ssize_t written = write(report[1], &refusal, sizeof refusal);
        _exit(written == sizeof refusal ? 127 : 126);
    }
    int fork_error = errno;
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return -fork_error;
    }
    ssize_t got;
    do got = read(report[0], &refusal, sizeof refusal);
    while (got < 0 && errno == EINTR);
    close(report[0]);
    if (got != sizeof refusal) return pid;      /* closed by a successful exec */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    *step = refusal.step;
    return -refusal.error;
}

/* Waits until the child has ended and leaves it a zombie, so that its number cannot be taken by another. */
static inline int clinux_await_end(pid_t pid) {
    siginfo_t unused;
    int answer;
    do answer = waitid(P_PID, (id_t)pid, &unused, WEXITED | WNOWAIT);
    while (answer < 0 && errno == EINTR);
    return answer < 0 ? -errno : 0;
}

/* Removes the zombie: its exit code, or 256 + the signal that ended it. */
static inline int clinux_reap(pid_t pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -errno;
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}
