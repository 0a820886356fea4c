internal import Glibc
package import LinuxSystem

/// Something that must be there before a lab can be built, and how a person gets it on Debian.
package enum Prerequisite: Sendable, Equatable {
    case program(String, package: String)
    case capabilities(Capabilities)

    package var sentence: String {
        switch self {
        case .program(let name, let package): "\(name) (apt-get install \(package))"
        case .capabilities(let capabilities): "\(capabilities) (run it as root)"
        }
    }

    private static let programs = [
        (program: "ip", package: "iproute2"), (program: "nft", package: "nftables"),
        (program: "iptables-nft", package: "iptables"),
        (program: "wireguard-go", package: "wireguard-go"), (program: "wg", package: "wireguard-tools"),
        (program: "iperf3", package: "iperf3"), (program: "ping", package: "iputils-ping"),
        (program: "openssl", package: "openssl"), (program: "traceroute", package: "traceroute"),
        (program: "tracepath", package: "iputils-tracepath"), (program: "python3", package: "python3"),
        (program: "dig", package: "bind9-dnsutils"), (program: "dnsmasq", package: "dnsmasq-base"),
        (program: "ethtool", package: "ethtool"), (program: "curl", package: "curl"),
    ]

    /// What this process lacks; empty when a lab can be built.
    package static var missing: [Prerequisite] { missing(programs) }

    /// What it lacks for a lab with a `Container`.
    package static var missingForContainers: [Prerequisite] {
        missing(programs + [(program: "runc", package: "runc")])
    }

    private static func missing(_ programs: [(program: String, package: String)]) -> [Prerequisite] {
        let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        let absent = programs.filter { wanted in !folders.contains { exists("\($0)/\(wanted.program)") } }
        let lacking = Capabilities([.sysAdmin, .netAdmin]).subtracting((try? Capabilities.effective()) ?? [])
        return (lacking.isEmpty ? [] : [.capabilities(lacking)])
            + absent.map { .program($0.program, package: $0.package) }
    }
}
