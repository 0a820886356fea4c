import LinuxNetwork
import LinuxSystem
import LocalAPI
import Logging

// What a running node says after a look. Each thing is said once, until there is another to say.

extension RunningNode {
    /// - Parameter missing: what is waited for; when there is nothing, packets are forwarded.
    func tell(_ missing: [String], _ session: Session, _ settings: NodeSettings, _ told: inout Course.Told) {
        defer { told.missing = missing }
        guard told.missing != missing else { return }
        let status = Self.statusLine(missing)
        supervisor?.tell(status: status)
        guard missing.isEmpty else { return log.info("\(status)") }
        log.info(
            "forwarding",
            metadata: [
                "tailnet": "\(settings.tailnet)", "vpn": "\(settings.vpn)", "io": "\(session.choice.kind.rawValue)",
                "io_reason": "\(session.ioReason(settings.io))",
            ])
    }

    /// How it stands, in one line.
    static func statusLine(_ missing: [String]) -> String {
        missing.isEmpty ? "forwarding" : "waiting for \(missing.joined(separator: ", ")); exit traffic is dropped"
    }

    /// The node goes on with each of them.
    func tell(_ findings: [Finding], _ told: inout Course.Told) {
        let warnings = findings.filter { $0.severity >= .warning }
        for finding in warnings where !told.warnings.contains(finding.evidence) {
            log.warning("\(finding.evidence); next: \(finding.remedy ?? "forwarder doctor")")
        }
        told.warnings = Set(warnings.map(\.evidence))
    }

    /// Sees that the node can be asked, by whoever finds the socket in its place.
    func restore(_ server: ControlServer, _ told: inout Course.Told) {
        do throws(Refusal) {
            if try server.restore() { log.warning("the control socket had been taken away, and is made anew") }
            told.unasked = nil
        } catch {
            if told.unasked != error.because { log.error("\(error)") }
            told.unasked = error.because
        }
    }

    func tell(_ answer: SubnetRouteWatch.Answer, _ told: inout Course.Told) {
        defer { told.routes = answer }
        guard told.routes != answer else { return }
        if let failure = answer.failure {
            let consequence =
                answer.routes == nil ? "traffic to them leaves by the VPN" : "what it told last still holds"
            log.info(
                "tailscaled does not tell on \(answer.socket) which networks it advertises: \(failure); \(consequence)")
        } else if let routes = answer.routes, !routes.prefixes.isEmpty {
            log.info(
                "the node itself routes what tailscaled advertises", metadata: ["routes": "\(routes.prefixes.count)"])
        }
        if let refused = answer.routes?.refused, !refused.isEmpty {
            // Which they are, doctor tells.
            log.warning(
                "tailscaled advertises networks that are not kept; next: forwarder doctor",
                metadata: ["networks": "\(refused.count)"])
        }
    }

    func tell(_ controlPlane: Session.ControlPlane, _ told: inout Course.Told) {
        let news =
            switch controlPlane {
            case .marked(let cgroup): "tailscaled's control plane is marked at its cgroup \(cgroup.path)"
            case .bearingItsOwn(let because): "tailscaled's control plane bears its own mark only: \(because)"
            }
        if news != told.controlPlane { log.info("\(news)") }
        told.controlPlane = news
    }
}
