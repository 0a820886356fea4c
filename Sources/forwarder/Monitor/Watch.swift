import FoundationEssentials
import Node

/// What has been seen of a node: the last look, what changed since the one before, and the course of it.
struct Watch {
    /// What happened between two looks, per second.
    struct Speeds: Codable, Equatable {
        var egressBitPerS = 0.0
        var ingressBitPerS = 0.0
        var egressPacketsPerS = 0.0
        var ingressPacketsPerS = 0.0
        var flowsOpenedPerS = 0.0
        var refusedPerS = 0.0
        /// By reason; those that nothing was dropped for are missing.
        var dropsPerS: [String: Double] = [:]
    }

    private(set) var look: Look
    /// Nil where there was nothing to compare the last look with.
    private(set) var speeds: Speeds?
    private(set) var flows: [Rated<FlowsReport.Flow>] = []
    private(set) var clients: [Rated<Look.Client>] = []
    private(set) var course = Course()
    /// Why there is no answer; nil while there is one.
    private(set) var silence: String?
    private var remarks: [Look.Event] = []

    init(_ first: Look) {
        look = first
        compare(nil)
    }

    /// Of the node, and what this watch noticed itself; the newest last.
    var events: [Look.Event] {
        remarks.isEmpty ? look.events : (look.events + remarks).sorted { $0.at < $1.at }
    }

    mutating func take(_ next: Look) {
        let before = look
        look = next
        if silence != nil {
            let seconds = Int(next.moment.seconds(since: before.moment).rounded())
            remark("warning", "the node answers again, after \(durationText(seconds: seconds))")
            silence = nil
        }
        // What it counted began anew.
        let isAnother = next.status.pid != before.status.pid || next.status.startedAt != before.status.startedAt
        if isAnother { remark("warning", "another node answers, or this one began anew") }
        compare(isAnother ? nil : before)
        course.record(
            speeds.map {
                .init(egress: $0.egressBitPerS, ingress: $0.ingressBitPerS, delay: look.status.cap?.delay ?? 0)
            })
    }

    /// A look to which there was no answer.
    mutating func miss(_ because: String, at date: Date) {
        if silence == nil { remark("error", "the node does not answer", at: date) }
        silence = because
        speeds = nil
        for index in flows.indices { flows[index].forget() }
        for index in clients.indices { clients[index].forget() }
        course.record(nil)
    }

    /// Until the next look.
    mutating func hideAddresses() {
        look.hideAddresses()
        flows = []
        clients = []
    }

    private mutating func remark(_ level: String, _ message: String, at date: Date? = nil) {
        remarks.append(Look.Event(at: date ?? look.moment.date, level: level, message: message))
        if remarks.count > 32 { remarks.removeFirst() }
    }

    private mutating func compare(_ before: Look?) {
        let seconds = before.map { look.moment.seconds(since: $0.moment) } ?? 0
        let before = seconds > 0 ? before : nil
        speeds = before.map { Speeds(from: $0.status, to: look.status, seconds: seconds) }
        // An address that is masked now and was not then would never be met again.
        flows = rated(look.flows.flows, since: before?.flows.flows, seconds: seconds)
        if let told = look.clients {
            clients = rated(told, since: before?.clients, seconds: seconds)
        } else {
            clients = Look.Client.adding(flows)
        }
    }
}

extension Watch.Speeds {
    fileprivate init(from before: StatusReport, to now: StatusReport, seconds: Double) {
        func perSecond(_ now: UInt64, _ before: UInt64) -> Double { Double(now > before ? now - before : 0) / seconds }
        egressBitPerS = perSecond(now.forwarded.egress.bytes, before.forwarded.egress.bytes) * 8
        ingressBitPerS = perSecond(now.forwarded.ingress.bytes, before.forwarded.ingress.bytes) * 8
        egressPacketsPerS = perSecond(now.forwarded.egress.packets, before.forwarded.egress.packets)
        ingressPacketsPerS = perSecond(now.forwarded.ingress.packets, before.forwarded.ingress.packets)
        flowsOpenedPerS = perSecond(now.flows.opened, before.flows.opened)
        refusedPerS = perSecond(now.guard?.refusals ?? 0, before.guard?.refusals ?? 0)
        for (reason, count) in now.drops {
            let rate = perSecond(count, before.drops[reason] ?? 0)
            if rate > 0 { dropsPerS[reason] = rate }
        }
    }
}

extension StatusReport.Guard {
    /// In packets.
    var refusals: UInt64 { refused.values.reduce(0) { $0 &+ $1.packets } }
}

extension StatusReport.Cap {
    /// How long a packet waits, the slower way, in milliseconds.
    var delay: Double { queue.values.map(\.delayMeanMs).max() ?? 0 }
}

// MARK: Clients

extension Look.Client: Counted {
    var identity: String { client }
    var beginning: Date? { nil }
}

extension Look.Client {
    /// Of those whose flows are shown, each once.
    fileprivate static func adding(_ flows: [Rated<FlowsReport.Flow>]) -> [Rated<Look.Client>] {
        var clients: [String: Rated<Look.Client>] = [:]
        for flow in flows {
            let address = flow.subject.client
            var sum =
                clients[address]
                ?? Rated(subject: .init(client: address, flows: 0, egressBytes: 0, ingressBytes: 0))
            sum.subject.flows += 1
            sum.subject.egressBytes &+= flow.subject.egressBytes
            sum.subject.ingressBytes &+= flow.subject.ingressBytes
            if let egress = flow.egress { sum.egress = (sum.egress ?? 0) + egress }
            if let ingress = flow.ingress { sum.ingress = (sum.ingress ?? 0) + ingress }
            clients[address] = sum
        }
        return clients.values.sorted { $0.subject.client < $1.subject.client }
    }
}
