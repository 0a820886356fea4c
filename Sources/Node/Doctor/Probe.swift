import LinuxSystem

/// A question to the host, and how it is asked. Asking changes nothing that stays.
package struct Probe: Sendable {
    /// By which scripts know it: never renamed.
    package let id: String
    package let question: String
    /// The gravest that it may find.
    package let worst: Finding.Severity
    private let look: @Sendable (borrowing Surroundings) throws(KernelError) -> Finding

    init(
        _ id: String, _ question: String, worst: Finding.Severity,
        look: @escaping @Sendable (borrowing Surroundings) throws(KernelError) -> Finding
    ) {
        self.id = id
        self.question = question
        self.worst = worst
        self.look = look
    }

    /// What the kernel does not tell us is a finding, too: that it was not told.
    package func finding(_ surroundings: borrowing Surroundings) -> Finding {
        do throws(KernelError) {
            let finding = try look(surroundings)
            assert(finding.severity <= worst, "\(id) found \(finding), and its worst is \(worst)")
            return finding
        } catch {
            return .notAsked("\(error)")
        }
    }

    /// All there are, in the order in which one would look: what the host grants, what it has, what stands in the way.
    package static let all: [Probe] = [
        node, kernel, capabilities, bpf, tun, ports, offloads, ioUring, memlock, openFiles, bpffs, cgroup, tailnet, vpn,
        vpnIPv6, vpnAlive, uplink, uplinkGuard, mtu, subnetRoutes, dns, rules, filters, firewall, bindingRange,
        controlSocket, admin, clock, stateDirectory, ledger,
    ]
}
