import Foundation
import Lab
import LinuxSystem
import Testing

@testable import Node

/// The log of a node that runs: its form, its level, and how much of it there is.
@Suite(.serialized, .labCanBeBuilt) struct LogTests {
    private let lab: PlainLab
    private let file = "/run/forwarder.yaml"

    init() throws { lab = try PlainLab() }

    private func events(_ node: ForwarderProcess) throws -> [StatusReport.Event] {
        try StatusReport(json: Data(node.ask(["status", "--json"]).utf8)).events
    }

    @Test("level and form are the settings', SIGHUP takes them anew, and status has the last lines whatever is written")
    func form() throws {
        try lab.node.write("log: error\ndns: off\n", to: file)
        let node = try ForwarderProcess(starting: Binary.path.path, on: lab, ["--config", file])
        try eventually { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
        #expect(node.child.standardError == "")
        #expect(try events(node).contains { $0.level == "info" && $0.message.hasPrefix("forwarding io=") })

        try lab.node.write("log: info\nlog_format: json\ndns: off\n", to: file)
        node.child.signal(SIGHUP)
        try eventually { node.child.standardError.hasSuffix("\"message\":\"settings read again\"}\n") }
        try lab.node.write("log_format: xml\n", to: file)
        node.child.signal(SIGHUP)
        try eventually { node.child.standardError.contains("is none of logfmt, json") }
        for line in node.child.standardError.split(separator: "\n") {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
            #expect(object?["time"] != nil && object?["level"] != nil && object?["message"] != nil, "\(line)")
        }
        try lab.node.write("dns: off\n", to: file)
        node.child.signal(SIGHUP)
        try eventually { node.child.standardError.hasSuffix("Z level=info msg=\"settings read again\"\n") }
        let last = try #require(try events(node).last)
        #expect(last.message == "settings read again" && abs(last.at.timeIntervalSinceNow) < 60)
    }

    @Test("a disk that is full loses lines, which are counted, and glues none to another")
    func fullDisk() throws {
        let disk =
            "mkdir /run/log && mount -t tmpfs -o size=4k small /run/log && yes '{}' | head -c 3900 > /run/log/log"
        try lab.node.run(["sh", "-c", disk])
        let node = try ForwarderProcess(
            starting: Binary.path.path, on: lab, ["--dns", "off", "--log-format", "json"],
            behind: ["sh", "-c", "exec \"$@\" 2>>/run/log/log", "sh"])
        try eventually { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
        func again() throws {
            let before = try events(node).count { $0.message == "settings read again" }
            node.child.signal(SIGHUP)
            try eventually { try events(node).count { $0.message == "settings read again" } > before }
        }
        func text() throws -> String { try lab.node.run(["cat", "/run/log/log"]) }
        for _ in 0..<4 { try again() }
        #expect(try text().utf8.count == 4_096, "the control")
        try lab.node.run(["mount", "-o", "remount,size=64k", "/run/log"])
        try again()
        let lines = try text().split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        #expect(!lines.contains(""))
        let whole = lines.filter { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) != nil }
        #expect(lines.count - whole.count <= 1, "one is torn where the disk ended: \(lines)")
        #expect(whole.suffix(2).first?.contains("lines before this one were lost") == true, "\(lines.suffix(3))")
        #expect(whole.last?.contains("settings read again") == true)
    }

    @Test("why a node ends is a line of its log as well, where that is for machines")
    func ending() throws {
        let arguments = ["run", "--dns", "off", "--vpn", "nosuch0", "--wait", "1"]
        for format in ["json", "logfmt"] {
            let child = try lab.node.start(
                ForwarderProcess.command(Binary.path.path) + arguments + ["--log-format", format])
            #expect(child.wait(upTo: .seconds(8)) == .exited(69))
            let last = try #require(child.standardError.split(separator: "\n").last)
            let object = try? JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: String]
            #expect(
                (object?["message"]?.hasPrefix("could not forward\nbecause") == true) == (format == "json"), "\(last)")
            #expect(last.hasPrefix("next: ") == (format == "logfmt"), "\(last)")
            #expect(object?["exit_code"] == (format == "json" ? "69" : nil))
        }
    }

    @Test("a pipe that nobody reads holds up neither packets, nor the end, nor a start that is refused")
    func deafReader() throws {
        // It holds as little as a pipe may, is full, and is read once whenever that is asked for.
        let deaf = [
            "python3", "-c",
            """
            import fcntl, os, subprocess, sys, time
            reader, writer = os.pipe()
            fcntl.fcntl(writer, 1031, 4096)
            os.write(writer, b"x" * 4096)
            node = subprocess.Popen(sys.argv[1:], stderr=writer)
            while node.poll() is None:
                time.sleep(0.02)
                if os.path.exists("/run/drain"):
                    open("/run/drained", "wb").write(os.read(reader, 4096))
                    os.remove("/run/drain")
            sys.exit(node.returncode)
            """,
        ]
        func drain() throws -> String {
            try lab.node.run([
                "sh", "-c", "touch /run/drain; while test -e /run/drain; do sleep 0.02; done; cat /run/drained",
            ])
        }
        let refused = try lab.node.start(
            deaf + ForwarderProcess.command(Binary.path.path)
                + ["run", "--dns", "off", "--vpn", "nosuch0", "--wait", "1"])
        #expect(refused.wait(upTo: .seconds(8)) == .exited(69))

        let node = try ForwarderProcess(starting: Binary.path.path, on: lab, ["--dns", "off"], behind: deaf)
        try eventually { try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 1) == 1 }
        let child = CInt(try StatusReport(json: Data(node.ask(["status", "--json"]).utf8)).pid)
        #expect(try drain().hasPrefix("xxxx"), "the control")
        kill(child, SIGHUP)
        try eventually { try events(node).contains { $0.message == "settings read again" } }
        let told = try drain().split(separator: "\n")
        #expect(told.count == 2 && told[0].contains("lines before this one were lost"), "\(told)")
        #expect(told.last?.contains("settings read again") == true, "\(told)")
        kill(child, SIGTERM)
        #expect(node.child.wait(upTo: .seconds(5)) == .exited(0))
    }

    @Test("an edge that comes and goes all the time floods no log, and the last line says how it stands")
    func flood() throws {
        let node = try ForwarderProcess(Binary.path.path, on: lab, ["--dns", "off"])
        let begin = ContinuousClock.now
        for _ in 0..<40 {
            try lab.node.ip("link set tun0 down")
            try eventually { try node.status().state == "waiting" }
            try lab.node.ip("link set tun0 up\nroute add default via 10.64.0.1")
            try eventually { try node.status().state == "forwarding" }
        }
        try lab.node.ip("link set tun0 down")
        try eventually { try node.status().state == "waiting" }
        let seconds = Int(begin.duration(to: .now) / .seconds(1))
        func lines() -> [Substring] { node.child.standardError.split(separator: "\n") }
        try eventually(within: .seconds(10)) {
            lines().last { $0.contains("msg=forwarding ") || $0.contains("msg=\"waiting ") }?.contains(
                "waiting for tun0")
                == true
        }
        #expect(lines().contains { $0.contains("like the next line were held back") })
        #expect(lines().count { $0.contains("waiting for ") } <= 12 + seconds + 10, "\(seconds) s")
    }
}
