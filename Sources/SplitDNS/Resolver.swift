package import PacketParse

/// The two resolvers, neither of which ever stands in for the other.
package enum Side: String, CaseIterable, Codable, Sendable { case direct, vpn }

/// A resolver, and the only way to it.
package struct Resolver: Equatable, Sendable {
    package let address: IPAddress
    package let port: Int
    /// The interface that its sockets are bound to: what goes there goes nowhere else, whatever the routing says. Nil while
    /// it is not there: then the resolver is unreachable.
    package var interface: Int32?
    /// Set on its sockets before anything else; 0 is none.
    package let mark: UInt32

    package init(_ address: IPAddress, port: Int = 53, interface: Int32? = nil, mark: UInt32 = 0) {
        self.address = address
        self.port = port
        self.interface = interface
        self.mark = mark
    }
}
