import ArgumentParser
import FoundationEssentials
import LinuxSystem
import Node

struct Print: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print what forwarder knows about itself.")

    enum Subject: String, CaseIterable, ExpressibleByArgument {
        case settings, probes, metrics, seccomp
        case gluetunRules = "gluetun-rules"
    }

    @Argument(
        help: """
            What to print: settings, each with its names, default and an example; probes, what doctor asks; metrics, \
            what Prometheus is told; seccomp, the profile for a container's security_opt: Docker's default and io_uring; or gluetun-rules, what Gluetun's \
            firewall must be told, in its /iptables/post-rules.txt.
            """)
    var subject: Subject

    @OptionGroup var options: SettingOptions<NamingEdges>

    @OptionGroup var answer: AnswerOptions

    func run() throws {
        switch subject {
        case .settings: try Output.answer(SettingsReport(), in: answer.form)
        case .probes: try Output.answer(ProbesReport(), in: answer.form)
        case .metrics: try Output.answer(MetricsReport(), in: answer.form)
        case .seccomp: try Output.answer(SeccompReport(), in: answer.form)
        case .gluetunRules: try Output.answer(GluetunRulesReport(options.settings()), in: answer.form)
        }
    }
}

/// The catalogue of settings as an answer; its text is `docs/settings.md`.
struct SettingsReport: Answer {
    struct Entry: Codable, Sendable {
        let key, environment, flag, `default`, example, meaning: String
    }

    var schema = "forwarder.settings/1"
    var settings: [Entry] = Setting.catalogue.map { setting in
        Entry(
            key: setting.key, environment: setting.variable, flag: "--" + setting.flag, default: setting.byDefault,
            example: setting.example, meaning: setting.meaning)
    }

    var text: String {
        let heading = ["key", "variable", "flag", "default", "meaning", "example"]
        let cells = settings.map {
            [code($0.key), code($0.environment), code($0.flag), $0.default, $0.meaning, code($0.example)]
        }
        return """
            # Settings

            Each setting is a flag of `forwarder run`, an environment variable and a key of the YAML file that `--config`
            names. A flag wins over a variable, a variable over the file, the file over the default. A variable that
            begins with `FORWARDER_`, or a key of the file, that is not listed here is refused.

            ```
            # forwarder.yaml
            vpn: tun0
            local: [192.168.1.0/24, "fd00::/8"]
            log: info
            cap: 35GB
            cap.reset_day: 15
            ```

            A key with a dot may also be written as a map, in which the empty key stands for what is before the dot:
            `cap: {"": 35GB, reset_day: 15}`.

            A running node reads file, variables and flags again at SIGHUP. What cannot be meant, or cannot be met on this
            host, is refused, told in the log, and the old settings stay. Other edges (the former are given back), `local`,
            `uplink`, `guard`, `allow`, `tailscaled_socket`, `cap` with its own, the `vpn_` and `admin_` settings, `log` and `log_format` are taken while packets flow; `io`,
            `flows` and `binding_ports` take a new packet loop, with which all flows end and the counts of `status` begin again;
            `control_socket`, `state_dir` and the `dns` settings take a new start.

            This page is what `forwarder print settings` prints.


            """ + markdownTable([heading] + cells)
    }
}

/// The probes of `forwarder doctor` as an answer; its text is `docs/doctor.md`.
struct ProbesReport: Answer {
    struct Entry: Codable, Sendable {
        let id, question: String
        let worst: Finding.Severity
    }

    var schema = "forwarder.probes/1"
    var probes: [Entry] = Probe.all.map { Entry(id: $0.id, question: $0.question, worst: $0.worst) }

    var text: String {
        """
        # Doctor

        `forwarder doctor` asks the host these questions and changes nothing that stays. Each answer has a severity, the
        facts seen and, unless all is well, a remedy to be followed as it stands, with yours in place of WORDS like these. `error` means that `forwarder run`
        would not forward, and makes the exit code 1; `note` also says what could not be asked, and why. It takes the flags
        of `run`, works without root, and beside a running node, which it asks over the control socket.

        With `--json` the answer is `{"schema": "forwarder.doctor/1", "ok": ..., "findings": [{"id": ..., "severity":
        ..., "evidence": ..., "remedy": ...}]}`, with a finding for each probe and no `remedy` where the severity is `ok`.

        This page is what `forwarder print probes` prints.


        """
            + markdownTable(
                [["id", "question", "at worst"]] + probes.map { [code($0.id), $0.question, $0.worst.rawValue] })
    }
}

/// The catalogue of metrics as an answer; its text is `docs/metrics.md`.
struct MetricsReport: Answer {
    struct Entry: Codable, Sendable {
        let name, kind, help: String
        var unit: String?
        /// Each label's values, all that there can be.
        let labels: [String: [String]]
        let series: Int
    }

    var schema = "forwarder.metrics/1"
    var metrics: [Entry] = Metric.catalogue.map { metric in
        let family = metric.family
        return Entry(
            name: family.sampleName, kind: family.kind.rawValue, help: family.help, unit: family.unit?.rawValue,
            labels: Dictionary(uniqueKeysWithValues: family.labels.map { ($0.name, $0.values) }),
            series: family.seriesCount)
    }

    var text: String {
        let families = Metric.catalogue.map(\.family)
        let rows = families.map { family in
            let labels = family.labels.map(\.name).joined(separator: ", ")
            return [family.sampleName, family.kind.rawValue, labels, "\(family.seriesCount)", family.help]
        }
        let labels = families.flatMap { family in
            family.labels.map { "* `\(family.sampleName)`, \(code($0.name)): \($0.values.joined(separator: ", "))\n" }
        }
        return """
            # Metrics

            A running node tells these at `http://127.0.0.1:10586/metrics`, in Prometheus' text format 0.0.4 or, to who asks for
            it, in OpenMetrics 1.0. All values of all labels are listed here: whatever passes, there are never more than
            \(metrics.reduce(0) { $0 + $1.series }) series, and no address, port or name of anybody is among them. What is not
            known at the moment, as all of the cap where nothing is capped, is left out.

            How to scrape it, alerts, a dashboard: [watching a node](watching.md). This page is what `forwarder print metrics`
            prints.


            """ + markdownTable([["family", "kind", "labels", "series", "what it is"]] + rows)
                + "\n## What labels can be\n\n" + Self.words + "\n\n" + labels.joined()
    }

    /// Of values that do not speak for themselves.
    private static let words = """
        * `direction`: `egress` is from a client into the VPN, `ingress` back. `port`: `inside` faces Tailscale, `outside` the VPN.
        * `class`, what the guard takes a packet for: `control` for what tailscaled says itself and the stub resolver asks for its sake,
          `encapsulation` for the VPN's own packets, `management` for what a link needs and for answers of `FORWARDER_ALLOW`'s
          services, `client` for clients' where the VPN's edge is the uplink, too, `routed` for what the host forwards to networks
          kept local. Of its reasons to refuse, `forwarded` is what else the host forwards and `client_dns` a client's question
          that tailscaled repeats; `unmarked` is all that nothing speaks for ([the guard](decisions/0016-the-guard.md)).
        * `reason` of a drop: `tailnet_`, `vpn_`, `inside_` and `outside_closed` are packets that came while the node did not forward,
          `no_exit_address` those of a family that the VPN has no address of, `no_flow` answers, resets and ICMP errors that belong
          to no flow. `queue_full` and `queue_stands` are the cap's queue, by which a sender learns to slow down.

        Family by family:
        """
}

/// The profile for a container as an answer; its text is `examples/seccomp.json`.
///
/// In both forms it is what Docker reads, which passes over keys that it does not know: ours, `schema`.
struct SeccompReport: Answer {
    var schema = "forwarder.seccomp/1"
    var profile = SeccompProfile.container

    init() {}

    init(from decoder: any Decoder) throws {
        schema = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .schema)
        profile = try SeccompProfile(from: decoder)
    }

    func encode(to encoder: any Encoder) throws {
        try profile.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(schema, forKey: .schema)
    }

    /// Names and numbers: nothing that JSON could refuse.
    var text: String { (try? String(decoding: encoded(.prettyPrinted), as: UTF8.self) + "\n") ?? "" }

    /// The keys are Docker's, not ours in snake case.
    func json() throws(Refusal) -> Data { try encoded([]) }

    private func encoded(_ form: JSONEncoder.OutputFormatting) throws(Refusal) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = form.union([.sortedKeys, .withoutEscapingSlashes])
        do {
            return try encoder.encode(self)
        } catch {
            throw Refusal(couldNot: "write the profile as JSON", because: "\(error)", exitCode: .bug)
        }
    }

    private enum CodingKeys: CodingKey { case schema }
}

private func code(_ text: String) -> String { "`\(text)`" }
