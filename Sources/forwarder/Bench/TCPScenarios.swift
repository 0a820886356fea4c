import Lab

extension Scenario {
    /// One connection, client to internet, between edges that deliver super-packets: what our own work costs.
    static let tcpBulk = tcp("tcp_bulk", .plain)

    /// The same through a WireGuard tunnel on both sides: what is left of it behind the tunnels' own work.
    static let tcpWireGuard = tcp("tcp_wireguard", .wireGuard)

    private static func tcp(_ name: String, _ lab: LabKind) -> Scenario {
        Scenario(
            name: name, unit: "Gbit/s", better: .higher, lab: lab,
            variants: [.kernel, .kernelDeployed, .uring, .poll]
        ) { lab, variant, seconds throws(LabFailure) in
            try variant.forward(in: lab) { lab throws(LabFailure) in
                try Throughput(seconds: seconds, client: lab.client, server: lab.internet, at: lab.internetAddress.v4)
                    .gigabitsPerSecond
            }
        }
    }
}
