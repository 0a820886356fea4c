internal import Glibc
internal import LinuxSystem

/// Something that must be there before a lab can be built, and how a person gets it on Debian.
package struct Prerequisite: Sendable, Equatable {
    package let name: String
    package let remedy: String

    package var sentence: String { "\(name) (\(remedy))" }

    private static let programs = [
        (program: "ip", package: "iproute2"), (program: "nft", package: "nftables"),
        (program: "wireguard-go", package: "wireguard-go"), (program: "wg", package: "wireguard-tools"),
        (program: "iperf3", package: "iperf3"), (program: "ping", package: "iputils-ping"),
        (program: "sha256sum", package: "coreutils"),
    ]

    /// What this process lacks; empty when a lab can be built.
    package static var missing: [Prerequisite] {
        let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        let absent = programs.filter { wanted in !folders.contains { exists("\($0)/\(wanted.program)") } }
        let power: Capabilities = [.sysAdmin, .netAdmin]
        let isPowerful = (try? Capabilities.effective())?.isSuperset(of: power) ?? false
        return (isPowerful ? [] : [Prerequisite(name: "\(power)", remedy: "run it as root")])
            + absent.map { Prerequisite(name: $0.program, remedy: "apt-get install \($0.package)") }
    }
}
