import Glibc

// A reader that has gone is an error of `write`, not our death.
_ = signal(SIGPIPE, SIG_IGN)
exit(Forwarder.follow(Array(CommandLine.arguments.dropFirst())).rawValue)
