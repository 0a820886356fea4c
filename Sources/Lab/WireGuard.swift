internal import Glibc
internal import LinuxSystem

/// A real WireGuard interface: wireguard-go, told what to do by `wg`, as on any machine without the kernel's module.
package final class WireGuard: Sendable {
    struct Keys {
        let `private`: String
        let `public`: String

        init(on host: LabHost) throws(LabFailure) {
            let secret = try host.run(["wg", "genkey"])
            `private` = firstLine(of: secret)
            `public` = firstLine(of: try host.run(["wg", "pubkey"], input: secret))
        }
    }

    struct Peer {
        let publicKey: String
        let allowed: [String]
        let endpoint: String
    }

    private let daemon: ChildProcess

    /// Makes the interface and brings it up. wireguard-go removes it when it ends.
    ///
    /// - Parameter mark: what its own packets bear.
    init(
        _ interface: String, on host: LabHost, keys: Keys, port: UInt16, mark: Int? = nil, mtu: Int,
        addresses: [String],
        peer: Peer
    ) throws(LabFailure) {
        daemon = try host.start(["wireguard-go", "-f", interface])
        // It answers `wg` a moment after its socket is there; until then that would ask the kernel.
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(10)
        while try !host.has("/run/wireguard/\(interface).sock") || (try? host.run(["wg", "show", interface])) == nil {
            guard clock.now < deadline, daemon.wait(upTo: .milliseconds(10)) == nil else {
                throw LabFailure(
                    couldNot: "start wireguard-go \(interface) on \(host.name)", because: daemon.standardError)
            }
        }
        try host.run(
            ["wg", "setconf", interface, "/dev/stdin"],
            input: """
                [Interface]
                PrivateKey = \(keys.private)
                ListenPort = \(port)
                FwMark = \(mark ?? 0)
                [Peer]
                PublicKey = \(peer.publicKey)
                AllowedIPs = \(peer.allowed.joined(separator: ", "))
                Endpoint = \(peer.endpoint)

                """)
        let lines = addresses.map { "addr add \($0) dev \(interface)" } + ["link set \(interface) mtu \(mtu) up"]
        try host.ip(lines.joined(separator: "\n"))
    }

    deinit { daemon.terminate() }
}

private func firstLine(of text: String) -> String { text.split(separator: "\n").first.map(String.init) ?? "" }

extension LabHost {
    fileprivate func has(_ path: String) throws(LabFailure) -> Bool {
        try toward("look for \(path) on \(name)") { () throws(KernelError) in
            try namespace.run { () throws(KernelError) in exists(path) }
        }
    }
}
