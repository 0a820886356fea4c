import FoundationEssentials
import LinuxSystem
import Node

/// What a node answered at one look.
struct Look: Sendable {
    /// Something that the node logged.
    typealias Event = StatusReport.Event

    /// What one client has moved.
    struct Client: Equatable, Sendable {
        var client: String
        /// Of the client, where somebody knows it.
        var name: String?
        var flows: Int
        var egressBytes: UInt64
        var ingressBytes: UInt64
    }

    var moment: Moment
    var status: StatusReport
    /// The busiest.
    var flows: FlowsReport
    /// None where nothing is capped.
    var quota: QuotaReport?
    /// Nil where the node does not tell: then they are counted together from the flows.
    var clients: [Client]?
    /// The newest last.
    var events: [Event] = []
}

/// A moment by two clocks: one that is never set, to measure by, and one for people.
struct Moment: Equatable, Sendable {
    /// Of CLOCK_MONOTONIC.
    var nanoseconds: UInt64
    var date: Date

    static var now: Moment { Moment(nanoseconds: MonotonicClock().nanoseconds, date: .now) }

    func seconds(since before: Moment) -> Double {
        nanoseconds > before.nanoseconds ? Double(nanoseconds - before.nanoseconds) / 1e9 : 0
    }
}

extension Look {
    /// Of flows, those with the most bytes: enough for any window, and a few milliseconds to read.
    static let flowLimit = 60

    /// - Throws: a refusal if nobody answers at `path`.
    init(at path: String, _ addresses: ControlRequest.Addresses) throws(Refusal) {
        status = try ControlClient.ask(.status, at: path)
        moment = .now
        events = status.events
        flows = try ControlClient.ask(.flows(top: Self.flowLimit, addresses: addresses), at: path)
        let clients: ClientsReport? = try? ControlClient.ask(
            .clients(top: Self.flowLimit, addresses: addresses), at: path)
        self.clients = clients?.clients.map(Client.init)
        quota = status.cap == nil ? nil : try? ControlClient.ask(.quota(nil), at: path)
    }
}

extension Look {
    /// Nobody of whom the addresses are known is left in it.
    mutating func hideAddresses() {
        flows = FlowsReport(busiest: [], total: flows.total, addresses: .masked)
        clients = nil
    }
}

extension Look.Client {
    fileprivate init(_ told: ClientsReport.Client) {
        self.init(
            client: told.client, name: told.name, flows: told.flowsLive, egressBytes: told.egressBytes,
            ingressBytes: told.ingressBytes)
    }
}
