import Lab

/// Who stands between the edges.
enum Router: String, CaseIterable, Sendable {
    case kernel, uring, poll

    static let ours: [Router] = [.uring, .poll]

    /// Nothing for the kernel, which needs no process.
    func start(on lab: any Lab) throws -> ForwarderProcess? {
        guard self == .kernel else {
            return try ForwarderProcess(Binary.path.path, on: lab, ["--io", rawValue])
        }
        try lab.enableKernelRouting()
        return nil
    }
}

/// A lab of its own for each router, for what is measured in turns.
struct Site: Sendable {
    let router: Router
    let lab: any Lab
    let forwarder: ForwarderProcess?

    init(_ router: Router, on lab: any Lab) throws {
        self.router = router
        self.lab = lab
        forwarder = try router.start(on: lab)
    }
}

extension Lab {
    /// The routers from the client to the internet, node first, and the internet itself: IPv4's, then IPv6's.
    var paths: [[String]] {
        let beyond = self is WireGuardLab
        return [
            [nodeAddress.v4] + (beyond ? ["10.64.0.1", "198.51.100.2"] : []) + [internetAddress.v4],
            [nodeAddress.v6] + (beyond ? ["fd00:64::1", "2001:db8:51::2"] : []) + [internetAddress.v6],
        ]
    }

    /// Both ends of the VPN's link know its MTU, as both ends of a tunnel do.
    func setVPNMTU(_ mtu: Int) throws {
        try node.ip("link set tun0 mtu \(mtu)")
        if let server = (self as? WireGuardLab)?.server {
            try server.ip("link set wg0 mtu \(mtu)")
            // Or nothing that is too long for the VPN would reach the node.
            for host in [client, node] { try host.ip("link set tailscale0 mtu 1420") }
        } else {
            try internet.ip("link set eth0 mtu \(mtu)")
        }
    }
}

extension ForwarderProcess {
    /// ICMP errors of a kind that it has sent.
    func answered(_ kind: String) throws -> UInt64 { try status().errors.sent[kind] ?? 0 }
}
