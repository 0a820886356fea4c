import LinuxNetwork
import LinuxSystem
import PacketParse
import Steering

// The rules of policy routing that a node makes, and how they are known again.

extension Rule {
    /// The originator that the rules of every forwarder bear (`rt_protos`; nobody else's in iproute2's list).
    static let forwarder: UInt8 = 0xF0

    /// Refuses to route what comes in by the tailnet edge.
    static func closing(_ tailnet: String, _ family: AddressFamily) -> Rule {
        Rule(family, preference: 91, incoming: tailnet, .unreachable, origin: forwarder)
    }

    /// The return-path filter: the host routes nothing of what the VPN sends, for answers to clients come in by our port.
    /// Excepted are networks that are kept local and lie behind the VPN.
    static func closingUnasked(_ settings: NodeSettings) -> [Rule] {
        let answers = settings.local.map { prefix in
            Rule(
                prefix.address.family, preference: 90, incoming: settings.vpn, source: prefix, .goto(92),
                origin: forwarder)
        }
        return answers
            + AddressFamily.allCases.map {
                Rule($0, preference: 91, incoming: settings.vpn, .blackhole, origin: forwarder)
            }
    }

    /// tailscaled asks again, marked as its control plane is, what a client asked (DNS, DNS over TLS): that may not leave by
    /// the uplink, also not by one that is made anew without a guard.
    static let closingClientDNS = AddressFamily.allCases.flatMap { family in
        [53, 853].map {
            Rule(family, preference: 91, destinationPort: $0, mark: .bypass, .unreachable, origin: forwarder)
        }
    }

    /// Everybody's, in the kernel's order; of a family that the kernel does not have, nothing.
    static func all(_ netlink: borrowing Netlink) throws(KernelError) -> [AddressFamily: [Rule]] {
        var all: [AddressFamily: [Rule]] = [:]
        for family in AddressFamily.allCases {
            do throws(KernelError) {
                all[family] = try netlink.rules(family)
            } catch {
                // A kernel without IPv6 routes none.
                guard error.errno == .addressFamilyNotSupported else { throw error }
            }
        }
        return all
    }

    /// Of this node, a dead one, another version.
    static func ours(_ netlink: borrowing Netlink) throws(KernelError) -> [Rule] {
        ours(in: try all(netlink))
    }

    /// In the kernel's order.
    static func ours(in all: [AddressFamily: [Rule]]) -> [Rule] {
        AddressFamily.allCases.flatMap { all[$0] ?? [] }.filter { $0.origin == forwarder }
    }
}

extension Rule {
    /// Sends to the tailnet what the node itself, or a network behind it, answers there: by tailscaled's own table, which
    /// names each peer. Ahead of Gluetun's rules, for 101 leads everything into the VPN, 99 perhaps to the uplink.
    ///
    /// An address that is no peer's is left to the rules behind, and so is everything where there is no such table: it may
    /// be a server of the VPN's, whose network these may be, too.
    static let toTailnet = IPPrefix.tailnets.map { tailnet in
        Rule(
            tailnet.address.family, preference: 93, destination: tailnet, .lookup(tailscaledTable), origin: forwarder)
    }

    /// The number is tailscaled's (wgengine/router).
    private static let tailscaledTable: UInt32 = 52
}
