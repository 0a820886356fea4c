import Foundation
import Metrics
import Testing

@testable import Node

/// What `contrib/` asks Prometheus for, against what the catalogue can ever tell.
@Suite struct QueryTests {
    private static let contrib = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../contrib").standardized

    /// With the quotes of queries as they are in a query.
    private static func text(_ file: String) throws -> String {
        try String(contentsOf: contrib.appending(path: file), encoding: .utf8).replacing(#"\""#, with: "\"")
    }

    @Test(arguments: [
        "prometheus/forwarder.rules.yml", "prometheus/forwarder.alerts.yml", "prometheus/forwarder.test.yml",
        "grafana/forwarder.json",
    ])
    func `dashboard, rules, alerts and their tests name no metric, label or value that is not told`(file: String) throws
    {
        let text = try Self.text(file)
        #expect(text.matches(of: /\bforwarder[_:][a-z0-9_:]+/).count > 10, "the control: they are found")
        let faults = Queries(rules: try Self.text("prometheus/forwarder.rules.yml")).faults(in: text)
        #expect(faults == [])
    }

    @Test(arguments: [
        (#"forwarder_vpn_state{instance="a",state="well"}"#, "forwarder_vpn_state: state is never well"),
        (#"rate(forwarder_dns_queries_total{outcome=~"timed_out|unreached"}[5m])"#, "outcome is never unreached"),
        (#"forwarder_dropped_packets_total{reason!~"queue_full|cap"}"#, "reason is never cap"),
        (#"forwarder_check{check!="all"}"#, "check is never all"),
        (#"forwarder_check{check=~"gua.*"}"#, "check is never gua.*"),
        (#"forwarder_check{name="guard"}"#, "forwarder_check has no label name"),
        (#"forwarder_flows{state="live"}"#, "forwarder_flows has no label state"),
        ("forwarder_dropped_packets", "forwarder_dropped_packets is not told"),
        ("sum by (instance, cause) (forwarder_flows)", nil),
        ("sum by (instance, why) (forwarder_flows)", "no label why"),
        (#"{ "legendFormat": "{{instance}} {{verdict}}" }"#, "no label verdict"),
        ("summary: It is {{ $labels.verdict }}", "no label verdict"),
        (#"forwarder_vpn_state{state=~"up|stale",instance=~"$instance",job="forwarder"}"#, nil),
        (#"sum by (le) (forwarder_flow_bytes_bucket{le="+Inf"})"#, nil), (#"up{job="forwarder"}"#, nil),
        (#"forwarder:guarded{instance="a",check=~"guard|leaks"}"#, nil),
        (#"forwarder:guarded{check="guarded"}"#, "forwarder:guarded: check is never guarded"),
        (#"forwarder:guarded{state="up"}"#, "forwarder:guarded has no label state"),
    ])
    func `what is not told is found, and nothing else`(query: String, fault: String?) {
        let faults = Queries(rules: "- record: forwarder:guarded\n  expr: forwarder_check == 1\n").faults(in: query)
        #expect(faults.count == (fault == nil ? 0 : 1), "\(faults)")
        if let fault { #expect(faults.first?.hasSuffix(fault) == true, "\(faults)") }
    }
}

/// All that a query may name.
private struct Queries {
    /// By the name of a sample, the values of each of its labels.
    private var labels: [String: [String: Set<String>]] = [:]
    /// What Prometheus itself puts to each, and what a histogram's buckets have.
    private static let foreign: Set<String> = ["instance", "job", "le"]

    /// - Parameter rules: whose own names may be asked for, too, by the labels of the metrics that each is made of.
    init(rules: String) {
        for family in Metric.catalogue.map(\.family) {
            let names =
                family.kind == .histogram
                ? ["_bucket", "_sum", "_count"].map { family.name + $0 } : [family.sampleName]
            let own = Dictionary(uniqueKeysWithValues: family.labels.map { ($0.name, Set($0.values)) })
            for name in names { labels[name] = own }
        }
        for rule in rules.split(separator: "- record: ").dropFirst(rules.hasPrefix("- record: ") ? 0 : 1) {
            var own: [String: Set<String>] = [:]
            for metric in Self.names(in: rule) { own.merge(labels[metric] ?? [:]) { $0.union($1) } }
            labels[String(rule.prefix { !$0.isWhitespace })] = own
        }
    }

    private static func names(in text: some StringProtocol) -> [String] {
        String(text).matches(of: /\b(forwarder[_:][a-z0-9_:]+|process_[a-z0-9_]+)\b/).map { String($0.1) }
    }

    func faults(in text: String) -> [String] {
        var faults = Set(Self.names(in: text)).subtracting(labels.keys).sorted().map { "\($0) is not told" }
        for selector in text.matches(of: /\b([a-z_:][a-z0-9_:]*)\{([^{}]*)\}/) {
            guard let own = labels[String(selector.1)] else { continue }
            for matcher in selector.2.matches(of: /([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"/) {
                let label = String(matcher.1)
                if Self.foreign.contains(label) { continue }
                guard let values = own[label] else {
                    faults.append("\(selector.1) has no label \(label)")
                    continue
                }
                // Of expressions only lists: what they may match is what they say.
                let isList = matcher.2.hasSuffix("~")
                let meant = isList ? matcher.3.split(separator: "|", omittingEmptySubsequences: false) : [matcher.3]
                for value in meant where !values.contains(String(value)) {
                    faults.append("\(selector.1): \(label) is never \(value)")
                }
            }
        }
        let known = labels.values.reduce(Self.foreign) { $0.union($1.keys) }
        let grouped = text.matches(of: /\b(?:by|on|without|ignoring)\s*\(([a-z_, ]*)\)/).flatMap {
            $0.1.split { ", ".contains($0) }.map(String.init)
        }
        let shown = text.matches(of: /\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}/).map { String($0.1) }
        for label in Set(grouped + shown).subtracting(known).sorted() { faults.append("there is no label \(label)") }
        return faults
    }
}
