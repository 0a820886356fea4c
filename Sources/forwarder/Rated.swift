import FoundationEssentials
import Node

/// Something that counts bytes both ways, and how fast it does.
struct Rated<Subject> {
    var subject: Subject
    /// In bits per second. Nil where it was not seen before.
    var egress, ingress: Double?

    var both: Double { (egress ?? 0) + (ingress ?? 0) }

    mutating func forget() { (egress, ingress) = (nil, nil) }
}

/// Counts bytes, and is to be met again at the next look.
protocol Counted {
    /// What does not change. Masked, several may share it.
    var identity: String { get }
    var beginning: Date? { get }
    var egressBytes: UInt64 { get }
    var ingressBytes: UInt64 { get }
}

extension FlowsReport.Flow: Counted {
    var identity: String {
        func text(_ port: UInt16?) -> String { port.map { "\($0)" } ?? "*" }
        return "\(transport) \(client) \(text(clientPort)) \(remote) \(text(remotePort)) \(text(outsidePort))"
    }

    var beginning: Date? { firstSeen }
}

extension ClientsReport.Client: Counted {
    var identity: String { client }
    var beginning: Date? { firstSeen }
}

/// Each beside what it was a look before.
///
/// Of several that look the same, each is taken for the one before that had the most bytes without having more: that is
/// right for all that go on, and what is wrong for a moment is how the speed of a few is split between them.
func rated<Subject: Counted>(_ now: [Subject], since before: [Subject]?, seconds: Double) -> [Rated<Subject>] {
    guard let before, seconds > 0 else { return now.map { Rated(subject: $0) } }
    var known = Dictionary(grouping: before, by: \.identity)
    return now.map { subject in
        let candidates = known[subject.identity] ?? []
        // Times are told in whole seconds, which may turn between two looks.
        let fitting = candidates.indices.filter { index in
            let old = candidates[index]
            let apart = subject.beginning.flatMap { date in old.beginning.map { abs(date.timeIntervalSince($0)) } } ?? 0
            return apart <= 2 && old.egressBytes <= subject.egressBytes && old.ingressBytes <= subject.ingressBytes
        }
        func bytes(_ index: Int) -> Double {
            Double(candidates[index].egressBytes) + Double(candidates[index].ingressBytes)
        }
        guard let index = fitting.max(by: { bytes($0) < bytes($1) }) else { return Rated(subject: subject) }
        let old = candidates[index]
        known[subject.identity]?.remove(at: index)
        return Rated(
            subject: subject, egress: Double(subject.egressBytes - old.egressBytes) * 8 / seconds,
            ingress: Double(subject.ingressBytes - old.ingressBytes) * 8 / seconds)
    }
}
