package import DataPlane

// The interfaces of a node: those of the host that it stands between, and its own.

extension StatusReport {
    /// An interface that we attach to.
    package struct Edge: Codable, Equatable, Sendable {
        package enum Kind: String, Codable, Sendable { case ethernet, layer3 }

        package var name: String
        package var index: Int
        package var kind: Kind
    }

    /// Those that are there.
    package struct Edges: Codable, Equatable, Sendable {
        package var tailnet: Edge?
        package var vpn: Edge?
        package var uplink: Edge?
    }

    /// The addresses by which clients leave.
    package struct ExitAddresses: Codable, Equatable, Sendable {
        package var v4: String?
        package var v6: String?
    }

    /// A tun device of our own.
    package struct Port: Codable, Equatable, Sendable {
        package var name: String
        package var offloads: DataPlane.Port.Offloads
    }

    package struct Ports: Codable, Equatable, Sendable {
        package var inside: Port
        package var outside: Port
    }
}

// Told by its raw value.
extension DataPlane.Port.Offloads: Codable {}
