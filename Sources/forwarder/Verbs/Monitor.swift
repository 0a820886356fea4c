import ArgumentParser
import FoundationEssentials
import Glibc
import LinuxSystem
import Node

struct Monitor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show how the running node stands, again and again.",
        discussion: """
            Keys: q ends, p pauses, r, b and a put first who is fastest, who moved most, who is there longest. Addresses \
            are masked unless --reveal is given; v then masks and reveals. Where stdout is no terminal, or one that cannot \
            move its cursor (TERM=dumb), it is --once.
            """)

    @Flag(help: "Print one picture, of two looks with an interval between them, and end.")
    var once = false

    @Option(help: ArgumentHelp("How long from one look to the next.", valueName: "seconds"))
    var interval = 1.0

    @Flag(help: "Show addresses and ports as they are.")
    var reveal = false

    @OptionGroup var options: SettingOptions<ReachingANode>

    @Flag(help: "With --once, which it implies: answer with one JSON object on stdout.")
    var json = false

    func validate() throws {
        guard (0.2...3_600).contains(interval) else {
            throw ValidationError("--interval takes 0.2 to 3600, not \(interval)")
        }
    }

    func run() throws {
        let path = try options.settings().controlSocket
        let environment = ProcessInfo.processInfo.environment
        let isTerminal = TerminalDescriptor.isTerminal(STDOUT_FILENO)
        let style = Style(environment: environment, isTerminal: isTerminal && !json)
        var view = View()
        view.mayReveal = reveal
        view.isRevealed = reveal
        view.interval = interval
        let canMove = isTerminal && !["", "dumb"].contains(environment["TERM"] ?? "")
        guard once || json || !canMove else {
            return try LiveMonitor.show(nodeAt: path, view, style)
        }
        let report = try Self.report(at: path, view, style, in: Self.size(environment, isTerminal: isTerminal))
        try Output.answer(report, in: json ? .json : .text)
    }

    private static func report(at path: String, _ view: View, _ style: Style, in size: Size) throws -> MonitorReport {
        let addresses: ControlRequest.Addresses = view.isRevealed ? .revealed : .masked
        var watch = Watch(try Look(at: path, addresses))
        usleep(UInt32(view.interval * 1e6))
        watch.take(try Look(at: path, addresses))
        return MonitorReport(watch, Picture(of: watch, as: view, in: size, style, at: .now), style)
    }

    /// As wide as the terminal, or as COLUMNS and LINES say; a picture that stays may be longer than the window.
    private static func size(_ environment: [String: String], isTerminal: Bool) -> Size {
        func number(_ name: String) -> Int? {
            environment[name].flatMap { Int($0) }.flatMap { 1...1_000 ~= $0 ? $0 : nil }
        }
        let window = isTerminal ? TerminalDescriptor.window(of: STDOUT_FILENO) : nil
        return Size(
            columns: number("COLUMNS") ?? window?.columns ?? Size.usual.columns,
            rows: number("LINES") ?? Size.usual.rows)
    }
}
