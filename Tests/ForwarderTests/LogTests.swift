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
