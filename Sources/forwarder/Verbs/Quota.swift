import ArgumentParser
import FoundationEssentials
import Node

struct Quota: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell what is used of the cap, and change what may be.",
        subcommands: [Show.self, History.self, Grant.self, Reset.self], defaultSubcommand: Show.self)

    /// Used, left, projected; and whether that is within the cap.
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell what is used, what is left, and what will have been used when the period ends.")

        @Flag(help: "End with 1 if the cap is used up, or clients are stopped.")
        var check = false

        @Flag(help: "With --check: end with 1 if it will be, at this rate.")
        var projected = false

        @OptionGroup var options: SettingOptions<NamingALedger>

        @OptionGroup var answer: AnswerOptions

        func validate() throws {
            guard check || !projected else { throw ValidationError("--projected goes with --check") }
        }

        func run() throws {
            let report = try QuotaReport(asking: options.settings())
            try Output.answer(report, in: answer.form)
            guard check, let limit = report.limitBytes else { return }
            let isUsedUp = (projected ? report.projectedBytes : report.usedBytes) >= limit
            if isUsedUp || report.rateBitPerS == 0 { throw AlreadyTold(.bad) }
        }
    }

    struct History: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List past periods, twelve at most.")

        @OptionGroup var options: SettingOptions<NamingALedger>

        @OptionGroup var answer: AnswerOptions

        func run() throws {
            let report = try QuotaReport(asking: options.settings())
            switch answer.form {
            case .json: try Output.answer(report, in: .json)
            case .text: try Output.answer(PastPeriods(report: report), in: .text)
            }
        }
    }

    struct Grant: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Allow more bytes in this period, or lift the cap until the next.")

        @Argument(help: ArgumentHelp("How much more, as 5GB.", valueName: "amount"))
        var amount: String?

        @Flag(help: "No cap until the next period.")
        var unlimited = false

        @OptionGroup var options: SettingOptions<NamingALedger>

        @OptionGroup var answer: AnswerOptions

        func validate() throws {
            guard (amount == nil) == unlimited else { throw ValidationError("name an amount, as 5GB, or --unlimited") }
        }

        func run() throws {
            let change = try amount.map { try QuotaReport.grant($0) } ?? .lift
            try Output.answer(QuotaReport(asking: options.settings(), for: change), in: answer.form)
        }
    }

    struct Reset: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Begin this period's count anew, at nothing.")

        @Flag(help: "Meant: what was counted is forgotten.")
        var yes = false

        @OptionGroup var options: SettingOptions<NamingALedger>

        @OptionGroup var answer: AnswerOptions

        func validate() throws {
            guard yes else {
                throw ValidationError("what was counted is forgotten; if that is meant: quota reset --yes")
            }
        }

        func run() throws {
            try Output.answer(QuotaReport(asking: options.settings(), for: .reset), in: answer.form)
        }
    }
}

/// Enough to reach a running node, or the ledger that one has left.
enum NamingALedger: SettingChoice {
    static var settings: [Setting] { Setting.catalogue }
    static var told: [Setting] { Setting.catalogue.filter { ["control_socket", "state_dir"].contains($0.key) } }
}

extension QuotaReport: Answer {
    /// By the clocks of the bill.
    fileprivate var day: Date.ISO8601FormatStyle {
        Date.ISO8601FormatStyle(timeZone: TimeZone(identifier: zone) ?? .gmt).year().month().day()
    }

    var text: String {
        let used = bytesText(usedBytes)
        let share =
            limitBytes.map {
                $0 > 0 ? String((Double(usedBytes) / Double($0) * 1000).rounded(.down) / 10) + " % of " : ""
            } ?? ""
        let rows = [
            ["used", limitBytes.map { "\(used), \(share)\(bytesText($0))" } ?? "\(used), not capped"],
            ["left", remainingBytes.map(bytesText) ?? "not capped"],
            ["projected", bytesText(projectedBytes)],
            ["period", "\(periodStart.formatted(day)) to \(periodEnd.formatted(day))"],
            ["stage", stage ?? "none"],
            ["rate", rateBitPerS.map { $0 == 0 ? "stopped" : "\($0) bit/s each way" } ?? "not limited"],
            [
                "counted",
                "\(direction.rawValue) at the \(meter.rawValue), since \(countedSince.formatted(day))"
                    + (isRunning ? "" : ", as last written"),
            ],
        ]
        return textTable(rows + notes.map { ["note", $0] })
    }
}

/// The history by itself.
private struct PastPeriods: Answer {
    let report: QuotaReport

    var schema: String { report.schema }

    var text: String {
        guard !report.history.isEmpty else { return "no period has ended yet\n" }
        return textTable(
            [["from", "to", "used", "of"]]
                + report.history.map {
                    [
                        $0.periodStart.formatted(report.day), $0.periodEnd.formatted(report.day),
                        bytesText($0.usedBytes),
                        $0.limitBytes.map(bytesText) ?? "not capped",
                    ]
                })
    }
}
