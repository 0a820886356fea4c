import ArgumentParser
import FoundationEssentials
import Glibc
import Lab
import LinuxSystem
import Node

struct Leaktest: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Provoke every leak there could be, between namespaces of its own, and look for it.",
        discussion: """
            A node beside a tailscaled and in Gluetun's rules, with observers at its uplink and behind its VPN. First \
            with nothing to hold anything back, which the observers must see; then each flow in each state, of the node, \
            of its tunnels and of its uplink.
            """)

    @Option(help: ArgumentHelp("How often each fault is provoked.", valueName: "count"))
    var `repeat` = 1

    @Flag(help: "Provoke nothing: watch the uplink of the node that runs here, and what its guard refuses.")
    var live = false

    @Option(help: ArgumentHelp("How long to watch with --live.", valueName: "seconds"))
    var seconds = 60

    @Option(help: .hidden)
    var states: String?

    /// One more flag of `guard` and `run`, as `guard=observe`.
    @Option(name: .customLong("with"), help: .hidden)
    var settings: [String] = []

    @OptionGroup var options: SettingOptions<ReachingANode>

    @OptionGroup var answer: AnswerOptions

    func validate() throws {
        guard (1...10_000).contains(`repeat`) else {
            throw ValidationError("--repeat takes 1 to 10000, not \(`repeat`)")
        }
        guard (1...86_400).contains(seconds) else {
            throw ValidationError("--seconds takes 1 to 86400, not \(seconds)")
        }
    }

    func run() throws {
        let conditions = try Condition.named(states)
        // Before there is any thread, or one of them is ended by the signal and all with it.
        let signals = try SignalDescriptor([SIGINT, SIGTERM])
        let report: LeaktestReport
        if live {
            report = try LiveWatch(control: options.settings().controlSocket) { signals.next() != nil }
                .watch(seconds: seconds)
        } else {
            report = try inLab(couldNot: "test for leaks") { () throws(LabFailure) in
                try leaktest(conditions, repetitions: `repeat`, settings: settings.map { "--\($0)" }) {
                    signals.next() != nil
                }
            }
        }
        try Output.answer(report, in: answer.form)
        if !report.ok { throw AlreadyTold(.bad) }
    }
}

extension Condition {
    /// Those of these names, joined by commas, or all.
    fileprivate static func named(_ names: String?) throws(Refusal) -> [Condition] {
        guard let names else { return all }
        return try names.split(separator: ",").map { name throws(Refusal) in
            if let condition = all.first(where: { $0.state == name }) { return condition }
            throw Refusal(
                couldNot: "provoke \"\(name)\"", because: "no state is called so",
                remedy: "choose of \(all.map(\.state).joined(separator: ", "))", exitCode: .usage)
        }
    }
}

/// A lab for each repetition, because only in a new one is there a state before all else, and one after each fault that a node
/// does not recover from.
private func leaktest(
    _ conditions: [Condition], repetitions: Int, settings: [String], until isOver: @escaping () -> Bool
) throws(LabFailure) -> LeaktestReport {
    // Of each lab its results, and not the lab: a hundred would not let each other breathe.
    var rows: [LeaktestReport.Row] = []
    var recoveries: [Double] = []
    var notRecovered = 0
    var controlSeen = true
    for number in 1...repetitions {
        if repetitions > 1 { Output.say("repetition \(number) of \(repetitions)") }
        var left = conditions[...]
        repeat {
            var provocation = Provocation(on: try Deployed(ForwarderProcess.ownPath, settings), until: isOver)
            try provocation.seeTheControl()
            try provocation.seeTheStart()
            while let condition = left.popFirst() {
                try provocation.see(condition)
                if repetitions == 1 { Output.say(provocation.told(condition)) }
                if provocation.notRecovered > 0 { break }
            }
            rows = LeaktestReport.sums(rows + provocation.rows)
            recoveries += provocation.recoveries
            notRecovered += provocation.notRecovered
            controlSeen = controlSeen && provocation.controlSeen
        } while !left.isEmpty
    }
    return LeaktestReport(
        rows, positiveControlSeen: controlSeen, recoveries: recoveries, notRecovered: notRecovered)
}
