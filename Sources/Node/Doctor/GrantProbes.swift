import DataPlane
import LinuxNetwork
import LinuxSystem
import Steering

// What the host grants to the process: capabilities, the programs, the tun device.

extension Probe {
    static let capabilities = Probe(
        "capabilities", "Does the process have CAP_NET_ADMIN and CAP_BPF?", worst: .error
    ) { surroundings in
        let missing = surroundings.missingCapabilities
        if missing.isEmpty { return .ok("CAP_NET_ADMIN and CAP_BPF are effective") }
        if surroundings.isNodeThere {
            return .ok(
                "the node that runs has them, though this process lacks \(missing.names.joined(separator: ", "))")
        }
        return .error(Refusal(missing: missing))
    }

    static let bpf = Probe("bpf", "Does the kernel take the eBPF programs?", worst: .error) { surroundings in
        guard surroundings.missingCapabilities.isEmpty else { return surroundings.incapable }
        do throws(LoadRefusal) {
            _ = try Steering()
            return .ok("the kernel takes all \(Steering.Program.allCases.count) programs")
        } catch {
            return .error(Refusal(loading: error))
        }
    }

    static let tun = Probe("tun", "Can /dev/net/tun be opened?", worst: .error) { _ in
        do throws(KernelError) {
            _ = try Port.openDevice()
            return .ok("/dev/net/tun opens")
        } catch {
            return .error(Refusal(openingPort: error))
        }
    }

    static let ports = Probe(
        "ports", "Are the names fwd-in and fwd-out free, or a running node's?", worst: .error
    ) { surroundings throws(KernelError) in
        var taken: [String] = []
        for side in Side.allCases where try surroundings.netlink.link(named: side.portName) != nil {
            taken.append(side.portName)
        }
        guard let first = taken.first else { return .ok("the names are free") }
        switch surroundings.presence {
        case .running, .silent: return .ok("\(taken.joined(separator: " and ")) belong to the node that runs")
        case .nobody: return .error(Refusal(openingPort: KernelError("TUNSETIFF", .resourceBusy, first)))
        }
    }
}

extension Surroundings {
    /// The answer of a probe that needs what forwarding needs.
    var incapable: Finding {
        .notAsked("the process does not have \(missingCapabilities.names.joined(separator: ", "))")
    }
}
