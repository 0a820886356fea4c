import ArgumentParser
import Node

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask the host whether forwarding would work, and tell what to do where not. Changes nothing.",
        discussion: "Exit code 1 when `run` would not forward. `forwarder print probes` lists what is asked.")

    @OptionGroup var options: SettingOptions<EverySetting>

    @OptionGroup var answer: AnswerOptions

    func run() throws {
        let report = try DoctorReport(options.settings())
        try Output.answer(report, in: answer.form)
        if !report.ok { throw AlreadyTold(.bad) }
    }
}

extension DoctorReport: Answer {
    var text: String {
        let worstFirst = Node.Finding.Severity.allCases.reversed().flatMap { severity in
            findings.filter { $0.severity == severity }
        }
        let rows = textTable(worstFirst.map { [$0.severity.rawValue, $0.id, $0.evidence] }).split(separator: "\n")
        let lines = zip(rows, worstFirst).flatMap { row, finding in
            [String(row)] + (finding.remedy.map { ["    next: \($0)"] } ?? [])
        }
        return (lines + [verdict]).joined(separator: "\n") + "\n"
    }

    private var verdict: String {
        let errors = findings.filter { $0.severity == .error }.map(\.id)
        if !errors.isEmpty { return "forwarder run would not forward here: \(errors.joined(separator: ", "))" }
        let warnings = findings.filter { $0.severity == .warning }.map(\.id)
        return "forwarder run would forward here"
            + (warnings.isEmpty ? "" : "; look at \(warnings.joined(separator: ", "))")
    }
}
