import LinuxSystem

/// The facts are those of `seccomp/default.json` in github.com/moby/profiles, seccomp v0.2.3, which Docker Engine 29.8
/// has built in. A later Docker may allow more or less; what this program needs is little and old.
extension SeccompProfile {
    /// What this program needs beyond Docker's default, which has refused it since Engine 25.0.
    static let ioUring = words("io_uring_enter io_uring_register io_uring_setup")

    /// Docker's default and io_uring.
    static let container: SeccompProfile = {
        var profile = docker
        profile.syscalls.append(Rule(.allow, ioUring))
        return profile
    }()

    /// Docker's default.
    static let docker = SeccompProfile(
        archMap: [
            Architecture("X86_64", ["X86", "X32"]), Architecture("AARCH64", ["ARM"]),
            Architecture("MIPS64", ["MIPS", "MIPS64N32"]), Architecture("MIPS64N32", ["MIPS", "MIPS64"]),
            Architecture("MIPSEL64", ["MIPSEL", "MIPSEL64N32"]), Architecture("MIPSEL64N32", ["MIPSEL", "MIPSEL64"]),
            Architecture("S390X", ["S390"]), Architecture("RISCV64"), Architecture("LOONGARCH64"),
        ],
        syscalls: [
            Rule(.allow, harmless),
            Rule(.allow, words("process_vm_readv process_vm_writev ptrace"), includes: Condition(minKernel: "4.8")),
        ] + sockets + personalities + machines + creation + powers)

    /// Allowed everywhere and to everybody.
    private static let harmless = words(
        """
        access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
        fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl
        fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd
        getdents getdents64 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lchown32 link
        linkat listmount _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open
        openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
        readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statmount statx
        symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat
        utimensat_time64 utimes vmsplice write writev

        fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
        lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat

        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
        eventfd2 _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4

        io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioprio_get ioprio_set

        brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
        mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
        process_mrelease remap_file_pages

        accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
        recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair

        execve execveat exit exit_group fork getpgid getpgrp getpid getppid getsid gettid kill pause pidfd_open
        pidfd_send_signal prctl restart_syscall set_tid_address setpgid setsid tgkill tkill vfork wait4 waitid waitpid

        capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
        getresuid getresuid32 getuid getuid32 landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
        setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid
        setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32

        futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area rseq
        set_robust_list set_thread_area

        rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn uretprobe

        getcpu getpriority getrlimit getrusage prlimit64 sched_get_priority_max sched_get_priority_min
        sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
        sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
        setpriority setrlimit ugetrlimit

        adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
        clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create
        timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
        timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times

        ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
        mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget

        getrandom riscv_hwprobe sysinfo uname
        """)

    /// Every address family but AF_ALG (38), the kernel's cryptography, and AF_VSOCK (40), the way to the hypervisor.
    private static let sockets = [Argument(0, .less, 38), Argument(0, .equal, 39), Argument(0, .greater, 40)].map {
        Rule(.allow, ["socket"], args: [$0])
    }

    /// PER_LINUX, PER_LINUX32, both with UNAME26, and the question which one holds.
    private static let personalities = ([0, 8, 0x20000, 0x20008, 0xffff_ffff] as [UInt64]).map {
        Rule(.allow, ["personality"], args: [Argument(0, .equal, $0)])
    }

    private static let machines = [
        ("sync_file_range2 swapcontext", ["ppc64le"]),
        (
            "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
            ["arm", "arm64"]
        ),
        ("arch_prctl", ["amd64", "x32"]),
        ("modify_ldt", ["amd64", "x32", "x86"]),
        ("s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr", ["s390", "s390x"]),
        ("riscv_flush_icache", ["riscv64"]),
    ].map { Rule(.allow, words($0), includes: Condition(arches: $1)) }

    /// Processes and threads, but no namespace: that takes CAP_SYS_ADMIN, with which the calls are in `powers`.
    private static let creation: [Rule] = {
        // CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
        let namespaces: UInt64 = 0x7e02_0000
        let s390 = ["s390", "s390x"]
        return [
            Rule(
                .allow, ["clone"], args: [Argument(0, .maskedEqual, namespaces)],
                excludes: Condition(caps: ["CAP_SYS_ADMIN"], arches: s390)),
            // There the flags are the second argument.
            Rule(
                .allow, ["clone"], args: [Argument(1, .maskedEqual, namespaces)], includes: Condition(arches: s390),
                excludes: Condition(caps: ["CAP_SYS_ADMIN"])),
            // Its flags lie behind a pointer: with ENOSYS (38) the C library takes clone instead.
            Rule(.fail, ["clone3"], errno: 38, excludes: Condition(caps: ["CAP_SYS_ADMIN"])),
        ]
    }()

    /// What a container may do with a capability that it was given.
    private static let powers = [
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        (
            "CAP_SYS_ADMIN",
            """
            bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
            lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl
            quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
            """
        ),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
        ("CAP_SYS_RAWIO", "iopl ioperm"),
        ("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
        ("CAP_SYS_TTY_CONFIG", "vhangup"),
        ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
    ].map { Rule(.allow, words($1), includes: Condition(caps: [$0])) }

    private static func words(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).map(String.init)
    }
}
