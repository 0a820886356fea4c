package import DataPlane
package import FoundationEssentials
package import Steering

/// How a running node stands, as `forwarder status` tells it. Its parts have files of their own beside this one.
package struct StatusReport: Report, Equatable {
    package enum State: String, Codable, CaseIterable, Sendable { case waiting, forwarding, stopping }

    /// What carries the packets.
    package typealias IO = IOKind

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
    /// What a person should know though the node goes on, each a sentence, as `forwarder doctor` says it with what to do.
    package var notes: [String] = []
    /// Where metrics and health are told over HTTP, or `none`; nothing while they cannot be, for which a note gives the reason.
    package var adminListen: String?
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
    /// None where nothing is capped.
    package var cap: Cap?
    /// None where names are not split.
    package var dns: DNS?
    /// None before the first look at the edges.
    package var vpn: VPN?
    /// The last lines of the log, of info and graver, at most 32, the newest last.
    package var events: [Event] = []
    package var startedAt: Date
    package var version = Node.version
    package var pid: Int32
}

// Told by its raw value.
extension IOKind: Codable {}
