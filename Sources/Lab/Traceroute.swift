internal import LinuxSystem

extension LabHost {
    /// What traceroute prints: a line for each hop, found with one probe.
    ///
    /// The core that runs it also takes the answers in, or it loses some by itself. For ICMP and TCP it has one raw socket.
    /// The kernel queues an ICMP error there and marks the socket a moment later. A traceroute (2.1.2) that fetches the
    /// error from another core in that moment is left with a mark for which nothing is queued: it asks for errors in a
    /// circle until the probes have expired, and never reads what the end answered. With none but the kernel on the way
    /// (6.18) a mark was left by 54 of 30,000 errors that another core took in, and by none that the same core did.
    ///
    /// - Parameters:
    ///   - method: its options for the kind of probe.
    ///   - interface: by which the answers come.
    package func traceroute(
        _ address: String, by method: [String], through interface: String
    ) throws(LabFailure) -> String {
        let core = try toward("let one core receive from \(interface) on \(name)") { () throws(KernelError) in
            try namespace.run { () throws(KernelError) in
                let core = try firstAllowedCore()
                // Hexadecimal, in groups of 32 cores.
                let mask = String(1 << (core % 32), radix: 16) + String(repeating: ",00000000", count: core / 32)
                try replaceContents(of: "/sys/class/net/\(interface)/queues/rx-0/rps_cpus", with: mask)
                return core
            }
        }
        return try run(
            ["taskset", "-c", "\(core)", "traceroute", "-n", "-q", "1", "-w", "2", "-m", "6"] + method + [address])
    }
}

/// The first core that the scheduler gives us; containers often have but some.
private func firstAllowedCore() throws(KernelError) -> Int {
    let list = try contents(of: "/proc/thread-self/status").split(separator: "\n")
        .first { $0.hasPrefix("Cpus_allowed_list:") }
    // "Cpus_allowed_list:	2-3,6"
    return list.flatMap { Int($0.dropFirst(18).drop { $0.isWhitespace }.prefix { $0.isNumber }) } ?? 0
}
