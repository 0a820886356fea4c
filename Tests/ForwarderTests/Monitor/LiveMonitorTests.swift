import Foundation
import Glibc
import LinuxSystem
import Synchronization
import Testing

@testable import Node
@testable import forwarder

/// A status beside which events stand.
private struct Eventful: Report {
    private enum Keys: CodingKey { case events }

    let status: StatusReport
    let events: [Look.Event]

    var schema: String { status.schema }

    func encode(to encoder: any Encoder) throws {
        try status.encode(to: encoder)
        var keys = encoder.container(keyedBy: Keys.self)
        try keys.encode(events, forKey: .events)
    }
}

extension Eventful {
    init(from decoder: any Decoder) throws {
        status = try StatusReport(from: decoder)
        events = []
    }
}

/// A control socket that is answered as a node with traffic would, or is not.
private final class AnsweringNode: Sendable {
    let path: String
    private let server: ControlServer
    private let ended = DispatchSemaphore(value: 0)

    init(
        at path: String = "/tmp/forwarder-test-\(UUID().uuidString).sock", thinking: Duration = .zero,
        events: [Look.Event] = []
    ) throws {
        self.path = path
        server = try ControlServer(path: path)
        Foundation.Thread.detachNewThread { [server, ended] in
            let start = Date.now
            server.serve { request throws(Refusal) in
                usleep(UInt32(thinking / .microseconds(1)))
                let second = Int(Date.now.timeIntervalSince(start) * 4)
                switch request {
                case .flows(_, let addresses):
                    return FlowsReport(
                        busiest: (0..<5).map { Watched.flow($0, second) }, total: 5, addresses: addresses)
                default:
                    var status = Watched.look(second).status
                    status.startedAt = Watched.start
                    return Eventful(status: status, events: events)
                }
            }
            ended.signal()
        }
    }

    func stop() {
        server.stop()
        ended.wait()
        ended.signal()
    }

    deinit { stop() }
}

@Suite("The monitor on a terminal") struct LiveMonitorTests {
    private let node: AnsweringNode
    private let terminal: PseudoTerminal
    private let before: String

    init() throws {
        node = try AnsweringNode()
        terminal = try PseudoTerminal()
        before = try terminal.modes()
    }

    private var program: [String] {
        [Binary.path.path, "monitor", "--interval", "0.2", "--control-socket", node.path]
    }

    private func awaitPicture(_ text: String = "q quit", within limit: Duration = .seconds(10)) throws {
        try eventually(within: limit) { terminal.screen.text.contains(text) }
    }

    /// The terminal is as it was before, and shows what it did.
    private func expectRestored() throws {
        try eventually { !terminal.screen.isOther }
        #expect(try terminal.modes() == before)
        #expect(terminal.screen.hasCursor)
        #expect(terminal.screen.unknown == [])
    }

    @Test("shows a picture that fills the window, and draws it again with each look")
    func picture() throws {
        let monitor = try terminal.start(program)
        try awaitPicture()
        let screen = terminal.screen
        #expect(screen.isOther && !screen.hasCursor)
        #expect(try terminal.modes() != before)
        #expect(screen.text.hasPrefix("forwarder  forwarding  up "))
        #expect(screen.rows.keys.max() == 24)
        try eventually { terminal.screen.text.contains("bit/s") }
        #expect(terminal.screen.unknown == [])
        #expect(!terminal.screen.text.contains("100.64.0.9"))
        terminal.type("q")
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(0), "\(monitor.standardError)")
        try expectRestored()
    }

    @Test(
        "gives the terminal back after every end",
        arguments: [("q", 0), ("\u{3}", 0), ("", SIGTERM), ("", SIGHUP), ("", SIGINT), ("", SIGQUIT)])
    func end(keys: String, signal: CInt) throws {
        let monitor = try terminal.start(program)
        try awaitPicture()
        if signal == 0 { terminal.type(keys) } else { monitor.signal(signal) }
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(0), "\(monitor.standardError)")
        try expectRestored()
    }

    @Test("where nobody runs, it says so and leaves the terminal alone")
    func nobody() throws {
        node.stop()
        let monitor = try terminal.start(program)
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(69))
        #expect(monitor.standardError.contains("nobody answers"), "\(monitor.standardError)")
        #expect(terminal.screen.taken == 0)
        try expectRestored()
    }

    @Test("a node that goes away leaves a gap that is told, and is seen again when it comes back")
    func gap() throws {
        let monitor = try terminal.start(program)
        try awaitPicture("bit/s")
        node.stop()
        try awaitPicture("no answer for")
        usleep(500_000)
        let next = try AnsweringNode(at: node.path)
        try awaitPicture("the node answers again")
        try awaitPicture("forwarding")
        terminal.type("q")
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(0))
        try expectRestored()
        next.stop()
    }

    @Test("keys are taken while a node takes its time to answer")
    func slowNode() throws {
        node.stop()
        let slow = try AnsweringNode(at: node.path, thinking: .seconds(3))
        let monitor = try terminal.start(program)
        try awaitPicture(within: .seconds(20))
        try awaitPicture("no answer for")
        let start = ContinuousClock.now
        terminal.type("p")
        // It asks more than once for a picture, and each time waits as long.
        try awaitPicture("go on", within: .seconds(4))
        terminal.type("q")
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(0))
        #expect(start.duration(to: .now) < .seconds(4))
        try expectRestored()
        slow.stop()
    }

    @Test("a terminal that vanishes ends it, whether or not somebody tells it so", arguments: [true, false])
    func vanished(isItsOwn: Bool) throws {
        let monitor = isItsOwn ? try terminal.start(program) : try terminal.startElsewhere(program)
        try awaitPicture()
        terminal.vanish()
        let ending = monitor.wait(upTo: .seconds(5))
        #expect(ending == .exited(0) || ending == .exited(69), "\(ending as Any) \(monitor.standardError)")
    }

    @Test("a terminal that takes nothing more, because somebody holds it, keeps nobody from ending it")
    func held() throws {
        let monitor = try terminal.start(program)
        try awaitPicture()
        terminal.hold()
        for turn in 0..<40 { try terminal.resize(columns: 200 + turn, rows: 80) }
        usleep(500_000)
        monitor.signal(SIGTERM)
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(0))
        #expect(try terminal.modes() == before)
    }

    @Test("Ctrl-Z gives the terminal to the shell, and fg takes it back")
    func suspended() throws {
        // Bash controls jobs on the terminal that it begins with.
        let shell = try terminal.start(
            shell: #"exec bash -c "$1" "$0" "${@:2}" <>"$0" >&0 2>&0"#,
            [#"set -m; "$@"; echo "stopped $?"; read -r; fg >/dev/null; echo "ended $?""#] + program)
        try awaitPicture()
        terminal.type("\u{1a}")
        try eventually { terminal.screen.text.contains("stopped 148") }
        try expectRestored()
        terminal.type("\n")
        try awaitPicture()
        #expect(terminal.screen.isOther && !terminal.screen.hasCursor)
        terminal.type("q")
        try eventually { terminal.screen.text.contains("ended 0") }
        #expect(shell.wait(upTo: .seconds(5)) == .exited(0))
        try expectRestored()
    }

    @Test("stopped without being asked, it draws anew once it goes on")
    func frozen() throws {
        let monitor = try terminal.start(program)
        try awaitPicture()
        monitor.signal(SIGSTOP)
        let spoiled = try ChildProcess(["stty", "-F", terminal.path, "sane"])
        #expect(spoiled.wait(upTo: .seconds(5)) == .exited(0))
        let drawn = terminal.screen.taken
        monitor.signal(SIGCONT)
        try eventually { terminal.screen.taken > drawn + 500 }
        terminal.type("q")
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(0))
        try expectRestored()
    }

    @Test("follows the window, down to one that holds nothing", arguments: [(120, 40), (40, 10), (3, 2), (1, 1)])
    func window(columns: Int, rows: Int) throws {
        let monitor = try terminal.start(program)
        try awaitPicture()
        try terminal.resize(columns: columns, rows: rows)
        try eventually {
            let screen = terminal.screen
            return screen.rows.keys.max() == rows && screen.rows.values.allSatisfy { $0.count <= columns }
        }
        try terminal.resize(columns: 80, rows: 24)
        try awaitPicture()
        terminal.type("q")
        #expect(monitor.wait(upTo: .seconds(5)) == .exited(0))
        try expectRestored()
    }

    @Test("sorts, pauses, and masks and reveals only where that was asked for")
    func keys() throws {
        let masked = try terminal.start(program)
        try awaitPicture("*egress")
        terminal.type("b")
        try awaitPicture("*bytes")
        terminal.type("a")
        try awaitPicture("*age")
        terminal.type("vp")
        try awaitPicture("paused")
        #expect(!terminal.screen.text.contains("100.64.0.9") && !terminal.screen.text.contains("v reveal"))
        usleep(500_000)
        let still = terminal.screen.text
        usleep(700_000)
        #expect(terminal.screen.text == still)
        terminal.type("pq")
        #expect(masked.wait(upTo: .seconds(5)) == .exited(0))

        let revealed = try terminal.start(program + ["--reveal"])
        try awaitPicture("100.64.0.9:40000")
        terminal.type("v")
        try eventually { !terminal.screen.text.contains("100.64.0.9") && terminal.screen.text.contains("100.64.*.*") }
        terminal.type("v")
        try awaitPicture("100.64.0.9:40000")
        terminal.type("q")
        #expect(revealed.wait(upTo: .seconds(5)) == .exited(0))
        try expectRestored()
    }

    @Test("without colour or a terminal that moves its cursor, and for pipes, it is plain text")
    func plain() throws {
        let dumb = try terminal.start(program, environment: ["TERM": "dumb"])
        #expect(dumb.wait(upTo: .seconds(10)) == .exited(0))
        try eventually { terminal.screen.text.contains("100.64.*.*") }
        #expect(!terminal.screen.isOther)
        #expect(terminal.screen.rows.values.joined().allSatisfy { $0.rendition.isEmpty })

        let bare = try terminal.start(program, environment: ["NO_COLOR": "1"])
        try awaitPicture()
        #expect(terminal.screen.rows.values.joined().allSatisfy { ["", "0"].contains($0.rendition) })
        terminal.type("q")
        #expect(bare.wait(upTo: .seconds(5)) == .exited(0))

        let piped = try Binary.run(
            ["monitor", "--interval", "0.2", "--control-socket", node.path], environment: ["LC_ALL": "C"])
        #expect(piped.code == 0)
        #expect(piped.out.hasPrefix("forwarder  forwarding"))
        #expect(piped.out.utf8.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) })
        #expect(piped.out.split(separator: "\n").count <= 24 && piped.out.contains("bit/s"))
        #expect(!piped.out.contains("q quit"))
    }

    @Test("--json gives one object, with what changed and the picture")
    func json() throws {
        let ending = try Binary.run(
            ["monitor", "--json", "--reveal", "--interval", "0.3", "--control-socket", node.path])
        let object = try #require(ending.object, "\(ending.err)")
        #expect(object["schema"] as? String == "forwarder.monitor/1")
        #expect((object["status"] as? [String: Any])?["state"] as? String == "forwarding")
        #expect((object["speeds"] as? [String: Any])?["ingress_bit_per_s"] is Double)
        #expect(((object["flows"] as? [String: Any])?["flows"] as? [Any])?.count == 5)
        #expect((object["picture"] as? [String])?.isEmpty == false)
        node.stop()
        let nobody = try Binary.run(["monitor", "--json", "--control-socket", node.path])
        #expect(nobody.code == 69 && nobody.object?["error"] != nil)
    }

    @Test("events that a node tells are shown")
    func events() throws {
        node.stop()
        let eventful = try AnsweringNode(at: node.path, events: Watched.events)
        let ending = try Binary.run(["monitor", "--interval", "0.2", "--control-socket", node.path])
        #expect(ending.out.contains("23:59:00Z  warning  the VPN is stale"), "\(ending.err)")
        eventful.stop()
    }

    @Test("an interval that cannot be kept is refused", arguments: ["0", "-1", "nan", "4000"])
    func interval(text: String) throws {
        let ending = try Binary.run(["monitor", "--interval=\(text)"])
        #expect(ending.code == 64 && ending.err.contains("--interval"))
    }
}
