import Foundation
import Logging
import Testing

@testable import Node

@Suite("A line of the log")
struct LogLineTests {
    @Test("It is key=value throughout: when, how grave, what, then what belongs to it, sorted")
    func order() {
        #expect(
            line("forwarding", ["vpn": "tun0", "tailnet": "tailscale0", "io_reason": "the kernel grants it"])
                == #"time=2026-11-21T02:37:01Z level=info msg=forwarding io_reason="the kernel grants it" tailnet=tailscale0 vpn=tun0"#
        )
        #expect(line("waiting for tun0") == #"time=2026-11-21T02:37:01Z level=info msg="waiting for tun0""#)
    }

    @Test(
        "A value is one word, or quoted",
        arguments: [
            ("", #""""#), ("a=b", #""a=b""#), (#"say "no""#, #""say \"no\"""#), (#"C:\x y"#, #""C:\\x y""#),
            ("two\nlines", #""two\nlines""#), ("eth0.7@eth0", "eth0.7@eth0"), ("\u{1B}[2J", "?[2J"),
        ])
    func values(text: String, word: String) {
        #expect(line("it", ["key": text]) == "time=2026-11-21T02:37:01Z level=info msg=it key=\(word)")
    }

    @Test("What is told in several sentences is one line; no terminal obeys it")
    func lines() {
        let told = LogLine(
            at: Date(timeIntervalSince1970: 1_795_228_621), .info, "could not\nbecause \u{1B}[2J\u{7}", ["key": "it"])
        #expect(told.text(.logfmt) == #"time=2026-11-21T02:37:01Z level=info msg="could not; because ?[2J?" key=it"#)
        #expect(told.sentence == "could not; because ?[2J? key=it")
        #expect(!told.text(.json).contains("\n"))
    }

    @Test("As JSON it is one object: when, how grave, what, and each fact under its key")
    func json() throws {
        let hostile = "a \"b\" \\ \n \t \u{1} \u{7F} \u{2028} é 🦆"
        let text = line("forwarding", ["vpn": "tun0", "io": hostile], .json)
        #expect(
            text.hasPrefix(#"{"time":"2026-11-21T02:37:01Z","level":"info","message":"forwarding","io":"#), "\(text)")
        #expect(text.hasSuffix(#","vpn":"tun0"}"#) && !text.contains("\n"))
        let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: String]
        #expect(object?["io"] == hostile)
        #expect(object?.count == 5)
    }

    @Test("A message as long as a book is cut, so that a pipe takes the line at once and JSON stays JSON")
    func long() throws {
        let text = line(String(repeating: "word ", count: 10_000), ["key": "short"], .json)
        #expect(text.utf8.count < 4_000)
        #expect(try JSONSerialization.jsonObject(with: Data(text.utf8)) is [String: String])
    }

    private func line(_ message: String, _ facts: [String: String] = [:], _ format: LogFormat = .logfmt) -> String {
        LogLine(at: Date(timeIntervalSince1970: 1_795_228_621), .info, message, facts).text(format)
    }
}
