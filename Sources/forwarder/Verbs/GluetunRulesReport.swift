import Node

/// What Gluetun's firewall must be told, as an answer; its text is a file for `/iptables/post-rules.txt`.
struct GluetunRulesReport: Answer {
    var schema = "forwarder.gluetun_rules/1"
    let needs: [FirewallNeeds.Need]

    init(_ settings: NodeSettings) { needs = FirewallNeeds(settings).needs }

    /// Gluetun passes over lines that begin with none of its programs.
    var text: String { needs.map { "# \($0.reason)\n\($0.rules.joined(separator: "\n"))\n" }.joined(separator: "\n") }
}
