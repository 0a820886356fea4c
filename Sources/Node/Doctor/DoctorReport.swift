/// What `forwarder doctor` found.
package struct DoctorReport: Report {
    package struct Finding: Codable, Equatable, Sendable {
        package let id: String
        package let severity: Node.Finding.Severity
        package let evidence: String
        package let remedy: String?
    }

    package var schema = "forwarder.doctor/1"
    /// Whether no finding is an error.
    package let ok: Bool
    /// One for each probe, in the probes' order.
    package let findings: [Finding]

    package init(_ settings: NodeSettings) throws(Refusal) {
        let surroundings = try Surroundings(settings)
        var findings: [Finding] = []
        for probe in Probe.all {
            let found = probe.finding(surroundings)
            findings.append(
                Finding(id: probe.id, severity: found.severity, evidence: found.evidence, remedy: found.remedy))
        }
        self.init(findings)
    }

    package init(_ findings: [Finding]) {
        self.findings = findings
        ok = !findings.contains { $0.severity == .error }
    }
}
