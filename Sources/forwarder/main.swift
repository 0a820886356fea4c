import Glibc

// Who starts us without them would have our first descriptors take what is meant for a person. These refuse it.
while true {
    let number = unsafe open("/dev/null", O_RDONLY)
    guard (STDIN_FILENO...STDERR_FILENO).contains(number) else {
        close(number)
        break
    }
}
// A reader that has gone is an error of `write`, not our death.
_ = signal(SIGPIPE, SIG_IGN)
// What Swift's runtime reports of a crash has octets of memory in it, perhaps of somebody's packet: only for who asks for that.
if unsafe getenv("SWIFT_BACKTRACE") == nil {
    for number in [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGQUIT] { _ = signal(number, SIG_DFL) }
}
exit(Forwarder.follow(Array(CommandLine.arguments.dropFirst())).rawValue)
