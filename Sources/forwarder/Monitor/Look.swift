import FoundationEssentials
import LinuxSystem
import Node

/// What a node answered at one look.
struct Look: Sendable {
    /// Something that the node logged.
    struct Event: Codable, Equatable, Sendable {
        var at: Date
        var level: String
        var message: String
    }

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
        let told: StatusAndEvents = try ControlClient.ask(.status, at: path)
        moment = .now
        status = told.status
        events = told.events
        flows = try ControlClient.ask(.flows(top: Self.flowLimit, addresses: addresses), at: path)
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

/// A status, and the events beside it where the node tells them.
private struct StatusAndEvents: Report {
    private enum Keys: CodingKey { case events }

    let status: StatusReport
    let events: [Look.Event]

    var schema: String { status.schema }

    init(from decoder: any Decoder) throws {
        status = try StatusReport(from: decoder)
        // What cannot be read as events is no reason to show nothing.
        events = (try? decoder.container(keyedBy: Keys.self).decode([Look.Event].self, forKey: .events)) ?? []
    }

    func encode(to encoder: any Encoder) throws { try status.encode(to: encoder) }
}
