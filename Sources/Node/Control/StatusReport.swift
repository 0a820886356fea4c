package import DataPlane
package import FoundationEssentials
package import LinuxNetwork
package import SplitDNS
package import Steering

/// How a running node stands, as `forwarder status` tells it.
package struct StatusReport: Report, Equatable {
    package enum State: String, Codable, Sendable { case waiting, forwarding, stopping }

    /// What carries the packets.
    package typealias IO = IOKind

    /// An interface that we attach to.
    package struct Edge: Codable, Equatable, Sendable {
        package enum Kind: String, Codable, Sendable { case ethernet, layer3 }
        package var name: String
        package var index: Int
        package var kind: Kind

        package init(name: String, index: Int, kind: Kind) {
            self.name = name
            self.index = index
            self.kind = kind
        }
    }

    /// Those that are there.
    package struct Edges: Codable, Equatable, Sendable {
        package var tailnet: Edge?
        package var vpn: Edge?
        package var uplink: Edge?

        package init(tailnet: Edge? = nil, vpn: Edge? = nil, uplink: Edge? = nil) {
            self.tailnet = tailnet
            self.vpn = vpn
            self.uplink = uplink
        }
    }

    /// The addresses by which clients leave.
    package struct ExitAddresses: Codable, Equatable, Sendable {
        package var v4: String?
        package var v6: String?

        package init(v4: String? = nil, v6: String? = nil) {
            self.v4 = v4
            self.v6 = v6
        }
    }

    /// A tun device of our own.
    package struct Port: Codable, Equatable, Sendable {
        package var name: String
        package var offloads: DataPlane.Port.Offloads

        package init(name: String, offloads: DataPlane.Port.Offloads) {
            self.name = name
            self.offloads = offloads
        }
    }

    package struct Ports: Codable, Equatable, Sendable {
        package var inside: Port
        package var outside: Port

        package init(inside: Port, outside: Port) {
            self.inside = inside
            self.outside = outside
        }
    }

    /// What went one way since the start.
    package struct Traffic: Codable, Equatable, Sendable {
        package var packets: UInt64
        package var bytes: UInt64
        /// Of the packets, those that carried several segments at once.
        package var superPackets: UInt64

        package init(packets: UInt64 = 0, bytes: UInt64 = 0, superPackets: UInt64 = 0) {
            self.packets = packets
            self.bytes = bytes
            self.superPackets = superPackets
        }
    }

    package struct Forwarded: Codable, Equatable, Sendable {
        package var egress: Traffic
        package var ingress: Traffic
        /// From one client to another by way of the exit address.
        package var hairpin: Traffic
        /// Packets that left in fragments because the next hop takes no longer ones.
        package var fragmented: UInt64

        package init(
            egress: Traffic = .init(), ingress: Traffic = .init(), hairpin: Traffic = .init(), fragmented: UInt64 = 0
        ) {
            self.egress = egress
            self.ingress = ingress
            self.hairpin = hairpin
            self.fragmented = fragmented
        }
    }

    /// ICMP errors of the node's own, about packets that it did not forward.
    package struct Errors: Codable, Equatable, Sendable {
        /// By kind; those that never happened may be missing.
        package var sent: [String: UInt64]
        /// Those that the limits on such errors forbade.
        package var suppressed: UInt64

        package init(sent: [String: UInt64] = [:], suppressed: UInt64 = 0) {
            self.sent = sent
            self.suppressed = suppressed
        }
    }

    package struct Flows: Codable, Equatable, Sendable {
        package var live: Int
        package var capacity: Int
        package var opened: UInt64
        package var evicted: UInt64
        package var expired: UInt64
        /// Those that ended with the exit address by which they left.
        package var flushed: UInt64

        package init(
            live: Int = 0, capacity: Int, opened: UInt64 = 0, evicted: UInt64 = 0, expired: UInt64 = 0,
            flushed: UInt64 = 0
        ) {
            self.live = live
            self.capacity = capacity
            self.opened = opened
            self.evicted = evicted
            self.expired = expired
            self.flushed = flushed
        }
    }

    /// How much of the outside ports is lent.
    package struct Bindings: Codable, Equatable, Sendable {
        /// Ports that flows borrow, of TCP or of UDP, whichever borrows more: each may borrow all of them.
        package var inUse: Int
        /// The ports of `binding_ports`.
        package var capacity: Int

        package init(inUse: Int = 0, capacity: Int) {
            self.inUse = inUse
            self.capacity = capacity
        }
    }

    /// By what tailscaled's control plane is known: our programs' mark, or its own alone.
    package enum ControlPlaneMarking: String, Codable, Sendable { case ebpf, tailscaled }

    /// What left by the uplinks since the packet loop was started, and what was kept from it.
    package struct Guard: Codable, Equatable, Sendable {
        package typealias Tally = GuardCount.Tally

        package var mode: GuardMode
        /// Where it stands.
        package var interfaces: [String]
        /// By class: control, encapsulation, management, client, routed.
        package var classes: [String: Tally]
        /// By reason; of a guard that observes, of packets that left.
        package var refused: [String: Tally]
        /// What a guard that observes let pass.
        package var leaked: Tally

        package init(
            mode: GuardMode, interfaces: [String], classes: [String: Tally] = [:], refused: [String: Tally] = [:],
            leaked: Tally = Tally()
        ) {
            self.mode = mode
            self.interfaces = interfaces
            self.classes = classes
            self.refused = refused
            self.leaked = leaked
        }
    }

    /// How names are split.
    package struct DNS: Codable, Equatable, Sendable {
        /// Where the namespace's processes ask.
        package var listen: String
        /// Who is asked over the uplink.
        package var direct: String
        /// Who is asked over the VPN; none where none is known.
        package var vpn: String?
        /// Whether resolv.conf names `listen`.
        package var isTakenOver: Bool
        /// Why it does not.
        package var because: String?
        package var counts: Counts

        package init(
            listen: String, direct: String, vpn: String?, isTakenOver: Bool, because: String? = nil, counts: Counts
        ) {
            self.listen = listen
            self.direct = direct
            self.vpn = vpn
            self.isTakenOver = isTakenOver
            self.because = because
            self.counts = counts
        }
    }

    /// What is known of the VPN's tunnel, and whether anything comes back out of it.
    package struct VPN: Codable, Equatable, Sendable {
        package enum State: String, Codable, Sendable { case up, stale, down }

        package var state: State
        /// When it became that.
        package var since: Date
        /// Why it is not up.
        package var because: String?
        /// Who tells what follows; none where nobody does.
        package var wireguard: WireGuardDevice.Source?
        package var lastHandshake: Date?
        package var receivedBytes: UInt64?
        package var sentBytes: UInt64?
        /// By which the VPN's own packets are known on the uplink, and where they go.
        package var fwmark: UInt32?
        package var endpoints: [String] = []

        package init(state: State, since: Date) {
            self.state = state
            self.since = since
        }
    }

    package var schema = "forwarder.status/1"
    package var state: State
    /// The interfaces that `waiting` waits for.
    package var waitingFor: [String]?
    package var io: IO
    /// Why not io_uring, or why it.
    package var ioReason: String
    package var edges = Edges()
    package var exitAddresses = ExitAddresses()
    /// Networks that are left to the host: by the setting `local`, and those that tailscaled advertises.
    package var local: [String] = []
    package var controlPlaneMarking = ControlPlaneMarking.tailscaled
    /// None before the uplinks were looked at.
    package var `guard`: Guard?
    /// By interface, what left by it in which class: all of an uplink's, and by the VPN what clients sent.
    package var egress: [String: [String: GuardCount.Tally]] = [:]
    /// None while the edges are not there.
    package var ports: Ports?
    package var forwarded = Forwarded()
    package var flows: Flows
    package var bindings: Bindings
    /// By drop reason; those that never happened may be missing.
    package var drops: [String: UInt64] = [:]
    package var errors = Errors()
    /// None where names are not split.
    package var dns: DNS?
    /// None before the first look at the edges.
    package var vpn: VPN?
    package var startedAt: Date
    package var version: String
    package var pid: Int32

    package init(
        state: State, io: IO, ioReason: String, flows: Flows, bindings: Bindings, startedAt: Date, pid: Int32
    ) {
        self.state = state
        self.io = io
        self.ioReason = ioReason
        self.flows = flows
        self.bindings = bindings
        self.startedAt = startedAt
        self.version = Node.version
        self.pid = pid
    }
}

// Told by their raw values.
extension IOKind: Codable {}
extension DataPlane.Port.Offloads: Codable {}
