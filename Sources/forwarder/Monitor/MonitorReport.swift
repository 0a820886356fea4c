import Node

/// What `forwarder monitor --once` answers: two looks, and what changed between them.
struct MonitorReport: Answer {
    var schema = "forwarder.monitor/1"
    let status: StatusReport
    /// Per second, between the looks; left out where the node began anew between them.
    let speeds: Watch.Speeds?
    let flows: FlowsReport
    /// Left out where nothing is capped.
    let quota: QuotaReport?
    /// The same as a picture.
    let picture: [String]

    init(_ watch: Watch, _ picture: Picture, _ style: Style) {
        status = watch.look.status
        speeds = watch.speeds
        flows = watch.look.flows
        quota = watch.look.quota
        self.picture = picture.lines.map { $0.text(in: style) }
    }

    var text: String { picture.map { $0 + "\n" }.joined() }
}
