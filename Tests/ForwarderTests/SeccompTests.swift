import Foundation
import LinuxSystem
import Testing

@testable import forwarder

/// The profile that `forwarder print seccomp` gives a container's `security_opt`.
@Suite("The seccomp profile") struct SeccompTests {
    private let printed: [String: Any]
    private let rules: [[String: Any]]

    init() throws {
        printed = try object(Binary.run(["print", "seccomp"]).out)
        rules = try #require(printed["syscalls"] as? [[String: Any]])
    }

    @Test("it is what Docker reads, and the same under --json with our schema")
    func shape() throws {
        #expect(printed["defaultAction"] as? String == "SCMP_ACT_ERRNO")
        #expect(printed["defaultErrnoRet"] as? Int == 1)
        let machines = try #require(printed["archMap"] as? [[String: Any]])
        #expect(machines[0]["architecture"] as? String == "SCMP_ARCH_X86_64")
        #expect(machines[0]["subArchitectures"] as? [String] == ["SCMP_ARCH_X86", "SCMP_ARCH_X32"])
        #expect(machines.count == 9)
        for rule in rules {
            #expect(try !#require(rule["names"] as? [String]).isEmpty)
            let action = rule["action"] as? String
            #expect(action == "SCMP_ACT_ALLOW" || action == "SCMP_ACT_ERRNO" && rule["errnoRet"] as? Int == 38)
        }
        let answer = try Binary.run(["print", "seccomp", "--json"])
        var single = try #require(answer.object)
        #expect(single["schema"] as? String == "forwarder.seccomp/1")
        single["schema"] = printed["schema"]
        #expect(NSDictionary(dictionary: single) == NSDictionary(dictionary: printed))
    }

    @Test("whoever holds nothing may make these calls, whatever their arguments, and no other")
    func unconditional() {
        let allowed = rules.filter { rule in ["args", "includes", "excludes"].allSatisfy { rule[$0] == nil } }
            .flatMap { $0["names"] as? [String] ?? [] }
        #expect(allowed.count == Set(allowed).count, "one is there twice")
        #expect(Set(allowed).subtracting(oracle) == ["io_uring_setup", "io_uring_enter", "io_uring_register"])
        #expect(Set(oracle).subtracting(allowed) == [])
    }

    @Test("the other calls are allowed under the conditions of Docker's default, each once")
    func conditional() {
        let told = rules.filter { rule in ["args", "includes", "excludes"].contains { rule[$0] != nil } }.map(sentence)
        #expect(told.count == Set(told).count)
        #expect(Set(told) == Set(conditions))
    }

    @Test("who starts a container with our two capabilities on this machine gets bpf, and no way to a namespace")
    func applied() {
        let holding = ["CAP_NET_ADMIN", "CAP_BPF"]
        let amd64 = SeccompProfile.container.applied(holding: holding, on: "amd64")
        let names = Set(amd64.filter { $0.action == .allow }.flatMap(\.names))
        #expect(names.isSuperset(of: ["bpf", "arch_prctl", "io_uring_setup", "clone", "ptrace"]))
        #expect(names.isDisjoint(with: ["unshare", "setns", "mount", "perf_event_open", "clone3", "cacheflush"]))
        #expect(amd64.allSatisfy { $0.includes == nil && $0.excludes == nil })
        #expect(amd64.filter { $0.names == ["clone"] }.map { $0.args?.map(\.index) } == [[0]])
        let s390 = SeccompProfile.container.applied(holding: holding, on: "s390x")
        #expect(s390.filter { $0.names == ["clone"] }.map { $0.args?.map(\.index) } == [[1]])
        let administrator = SeccompProfile.container.applied(holding: ["CAP_SYS_ADMIN"], on: "amd64")
        #expect(administrator.filter { $0.names.contains("clone3") }.map(\.action) == [.allow])
    }
}

private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
}

/// A conditional rule in one line: what, with which arguments, where, and where not.
private func sentence(_ rule: [String: Any]) -> String {
    func list(_ value: Any?) -> String { (value as? [String] ?? []).joined(separator: ",") }
    var words = [list(rule["names"])]
    if rule["action"] as? String == "SCMP_ACT_ERRNO" { words.append("fails") }
    for argument in rule["args"] as? [[String: Any]] ?? [] {
        let op = (argument["op"] as? String ?? "").replacing("SCMP_CMP_", with: "")
        words.append("\(argument["index"] ?? "?") \(op) \(argument["value"] ?? "?") \(argument["valueTwo"] ?? 0)")
    }
    for (key, word) in [("includes", "with"), ("excludes", "without")] {
        guard let condition = rule[key] as? [String: Any] else { continue }
        let parts = [list(condition["caps"]), list(condition["arches"]), condition["minKernel"] as? String ?? ""]
        words.append(word + " " + parts.filter { !$0.isEmpty }.joined(separator: " "))
    }
    return words.joined(separator: " ")
}

/// The calls that moby's profile, seccomp v0.2.3, allows without any condition, in its order.
private let oracle = """
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
    clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
    fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
    futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid
    getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
    getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt
    get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64
    ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr
    _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret
    mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget
    msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat
    openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64
    prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read
    readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
    removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64
    send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
    setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
    setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address
    setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
    sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat
    sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
    timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime
    utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
    """.split(whereSeparator: \.isWhitespace).map(String.init)

/// Its other rules, as `sentence` tells them.
private let conditions = [
    "process_vm_readv,process_vm_writev,ptrace with 4.8",
    "socket 0 LT 38 0", "socket 0 EQ 39 0", "socket 0 GT 40 0",
    "personality 0 EQ 0 0", "personality 0 EQ 8 0", "personality 0 EQ 131072 0", "personality 0 EQ 131080 0",
    "personality 0 EQ 4294967295 0",
    "sync_file_range2,swapcontext with ppc64le",
    "arm_fadvise64_64,arm_sync_file_range,sync_file_range2,breakpoint,cacheflush,set_tls with arm,arm64",
    "arch_prctl with amd64,x32", "modify_ldt with amd64,x32,x86",
    "s390_pci_mmio_read,s390_pci_mmio_write,s390_runtime_instr with s390,s390x", "riscv_flush_icache with riscv64",
    "open_by_handle_at with CAP_DAC_READ_SEARCH",
    "bpf,clone,clone3,fanotify_init,fsconfig,fsmount,fsopen,fspick,lookup_dcookie,lsm_get_self_attr,lsm_list_modules,"
        + "lsm_set_self_attr,mount,mount_setattr,move_mount,open_tree,perf_event_open,quotactl,quotactl_fd,"
        + "setdomainname,sethostname,setns,syslog,umount,umount2,unshare with CAP_SYS_ADMIN",
    "clone 0 MASKED_EQ 2114060288 0 without CAP_SYS_ADMIN s390,s390x",
    "clone 1 MASKED_EQ 2114060288 0 with s390,s390x without CAP_SYS_ADMIN",
    "clone3 fails without CAP_SYS_ADMIN",
    "reboot with CAP_SYS_BOOT", "chroot with CAP_SYS_CHROOT",
    "delete_module,init_module,finit_module with CAP_SYS_MODULE", "acct with CAP_SYS_PACCT",
    "kcmp,pidfd_getfd,process_madvise,process_vm_readv,process_vm_writev,ptrace with CAP_SYS_PTRACE",
    "iopl,ioperm with CAP_SYS_RAWIO", "settimeofday,stime,clock_settime,clock_settime64 with CAP_SYS_TIME",
    "vhangup with CAP_SYS_TTY_CONFIG",
    "get_mempolicy,mbind,set_mempolicy,set_mempolicy_home_node with CAP_SYS_NICE", "syslog with CAP_SYSLOG",
    "bpf with CAP_BPF", "perf_event_open with CAP_PERFMON",
]
