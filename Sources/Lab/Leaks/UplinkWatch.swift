internal import Glibc
internal import LinuxNetwork
package import LinuxSystem
internal import PacketParse
internal import SystemPackage

/// Watches the uplink of a node that really runs, from within its network, and tells by whose addresses packets leave. It
/// sends nothing.
///
/// Of a packet that leaves it sees no mark: whose it is, its addresses tell, or nothing does.
package final class UplinkWatch: Sendable {
    /// Whose word a packet is, by its source.
    package enum Source: String, CaseIterable, Sendable {
        /// The uplink's own address.
        case own
        /// A client's, to a network that is kept local.
        case local
        /// A client's, or the one that clients have on the VPN: it has no business here.
        case client
        case other
    }

    private let observer: ProbeObserver
    private let own: Set<IPAddress>
    private let exits: Set<IPAddress>
    private let local: [IPPrefix]

    /// - Parameters:
    ///   - exits: the node's addresses on the VPN.
    ///   - local: prefixes where clients may go by the kernel's routing.
    /// - Throws: EPERM without CAP_NET_RAW, ENODEV without the interface.
    package init(interface: String, exits: [String], local: [String]) throws(KernelError) {
        let netlink = try Netlink()
        guard let link = try netlink.link(named: interface) else {
            throw KernelError("if_nametoindex", Errno(rawValue: ENODEV), interface)
        }
        own = Set(try netlink.addresses(of: link).map(\.address))
        self.exits = Set(exits.compactMap { IPAddress($0) })
        self.local = local.compactMap { IPPrefix($0) }
        observer = try ProbeObserver(leavingBy: interface)
    }

    /// Packets since the last time, without those that cannot leave their link.
    package func take() -> [Source: Int] {
        var packets: [Source: Int] = [:]
        for (trace, count) in observer.take() where !trace.sighting.isHousekeeping {
            guard let source = IPAddress(trace.sighting.source), let destination = IPAddress(trace.sighting.destination)
            else { continue }
            packets[judge(source, destination), default: 0] += count
        }
        return packets
    }

    /// Above zero, an absence proves nothing.
    package var missed: Int { observer.missed }

    /// A provider, too, may give addresses of 100.64.0.0/10: one that the uplink has is its own.
    private func judge(_ source: IPAddress, _ destination: IPAddress) -> Source {
        if own.contains(source) { return .own }
        guard exits.contains(source) || IPPrefix.tailnets.contains(where: { $0.contains(source) }) else {
            return .other
        }
        return local.contains { $0.contains(destination) } ? .local : .client
    }
}
