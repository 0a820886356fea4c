import Foundation
import Logging
import Testing

@testable import forwarder

@Suite("A line of the log")
struct LogLinesTests {
    @Test("It begins with when, how grave and what, and ends with key=value, sorted")
    func order() {
        #expect(
            line("forwarding", ["vpn": "tun0", "tailnet": "tailscale0", "io_reason": "the kernel grants it"])
                == #"2026-11-21T02:37:01Z info forwarding io_reason="the kernel grants it" tailnet=tailscale0 vpn=tun0"#
        )
        #expect(line("waiting for tun0", nil) == "2026-11-21T02:37:01Z info waiting for tun0")
    }

    @Test(
        "A value is one word, or quoted",
        arguments: [
            ("", #""""#), ("a=b", #""a=b""#), (#"say "no""#, #""say \"no\"""#), (#"C:\x y"#, #""C:\\x y""#),
            ("two\nlines", #""two\nlines""#), ("fe80::1%eth0", "fe80::1%eth0"),
        ])
    func values(text: String, word: String) {
        #expect(line("it", ["key": "\(text)"]) == "2026-11-21T02:37:01Z info it key=\(word)")
    }

    @Test("What a logger says of every event is told with each, and the event's own word wins")
    func inherited() {
        var log = LogLines()
        log[metadataKey: "node"] = "one"
        log[metadataKey: "io"] = "poll"
        #expect(line("it", ["io": "uring"], log) == "2026-11-21T02:37:01Z info it io=uring node=one")
    }

    private func line(_ message: Logger.Message, _ facts: Logger.Metadata?, _ log: LogLines = LogLines()) -> String {
        log.line(
            of: LogEvent(
                level: .info, message: message, metadata: facts, source: nil, file: #fileID, function: #function,
                line: #line),
            at: Date(timeIntervalSince1970: 1_795_228_621))
    }
}
