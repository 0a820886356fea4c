import Foundation
import Glibc
import LinuxSystem
import Synchronization
import Testing

@testable import Node

@Suite("The control socket")
struct ControlServerTests {
    @Test("What was answered is what is read")
    func roundTrip() throws {
        let server = try RunningServer()
        let status: StatusReport = try ControlClient.ask(.status, at: server.path)
        #expect(status == Examples.status)
        let flows: FlowsReport = try ControlClient.ask(.flows(top: 1_000, addresses: .revealed), at: server.path)
        #expect(flows.shown == 1_000 && flows.total == 5_000)
        #expect(flows.flows.last == Examples.flow(999))
    }

    @Test("The socket and what is made of its directory are their owner's alone")
    func modes() throws {
        let server = try RunningServer()
        #expect(mode(of: server.path) == S_IFSOCK | 0o600)
        #expect(mode(of: (server.path as NSString).deletingLastPathComponent) == S_IFDIR | 0o700)
    }

    @Test("The socket of a dead process is replaced")
    func stale() throws {
        let path = "/tmp/forwarder-test-\(UUID().uuidString).sock"
        defer { unsafe unlink(path) }
        do {
            let dead = try UnixSocket.nonBlocking()
            try UnixSocket.bind(dead, to: path)
        }
        #expect(mode(of: path) != nil)
        _ = try ControlServer(path: path)
    }

    @Test("A second node is refused and the first goes on answering")
    func live() throws {
        let server = try RunningServer()
        let second = try #require(refusal { try ControlServer(path: server.path) })
        #expect(second.exitCode == .unavailable)
        #expect(second.because == "another forwarder answers on \(server.path)")
        #expect(second.remedy?.hasSuffix("forwarder status --control-socket \(server.path)") == true)
        #expect(try ControlClient.ask(.status, at: server.path) as StatusReport == Examples.status)
    }

    @Test("Of two nodes that start at once on a dead one's socket exactly one gets it")
    func race() throws {
        let path = "/tmp/forwarder-test-\(UUID().uuidString).sock"
        defer { unsafe unlink(path) }
        // Without the directory's lock, about one round in fifty has two winners here.
        for _ in 0..<400 {
            do {
                let dead = try UnixSocket.nonBlocking()
                try UnixSocket.bind(dead, to: path)
            }
            // A winner is kept until both have tried, or the other would find a dead one again.
            let winners = Mutex<[ControlServer]>([])
            DispatchQueue.concurrentPerform(iterations: 2) { _ in
                if let server = try? ControlServer(path: path) { winners.withLock { $0.append(server) } }
            }
            #expect(winners.withLock { $0.count } == 1)
        }
    }

    @Test("What is there and no socket is left alone")
    func foreignFile() throws {
        let path = "/tmp/forwarder-test-\(UUID().uuidString).txt"
        try "mine".write(toFile: path, atomically: false, encoding: .utf8)
        defer { unsafe unlink(path) }
        let refused = try #require(refusal { try ControlServer(path: path) })
        #expect(refused.because.contains("no socket"))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
    }

    @Test("A node that stops takes its socket away and nobody answers any more")
    func stops() throws {
        let path: String
        do {
            let server = try RunningServer()
            path = server.path
            server.stop()
        }
        #expect(mode(of: path) == nil)
        let refused = try #require(refusal { try ControlClient.ask(.status, at: path) as StatusReport })
        #expect(refused.exitCode == .unavailable)
        #expect(refused.remedy == "start one: forwarder run --control-socket \(path)")
    }

    @Test("A socket to which nobody listens is nobody running")
    func nobodyListens() throws {
        let path = "/tmp/forwarder-test-\(UUID().uuidString).sock"
        defer { unsafe unlink(path) }
        let dead = try UnixSocket.nonBlocking()
        try UnixSocket.bind(dead, to: path)
        #expect(refusal { try ControlClient.ask(.status, at: path) as StatusReport }?.exitCode == .unavailable)
    }

    @Test(
        "Garbage is answered with a refusal, and the next client is served",
        arguments: [
            "\n", "hello\n", "{}\n", "[]\n", "null\n", #"{"verb":"reboot"}"# + "\n", #"{"verb":1}"# + "\n",
            #"{"verb":"flows","top":0}"# + "\n", #"{"verb":"flows","top":1001}"# + "\n",
            #"{"verb":"flows","top":-1}"# + "\n", #"{"verb":"flows","top":1e99}"# + "\n", "\u{0}\u{1}\n",
            String(repeating: "[", count: 4_000) + "\n", String(repeating: "x", count: 100_000),
            #"{"verb":"status","# + String(repeating: " ", count: 4_096) + "}\n",
        ])
    func garbage(text: String) throws {
        let server = try RunningServer()
        let client = try RawClient(connectingTo: server.path)
        client.send(text)
        let answer = client.readToEnd()
        let report = try RefusalReport(json: Data(answer.utf8))
        #expect(report.error.exitCode == .usage)
        #expect(try ControlClient.ask(.status, at: server.path) as StatusReport == Examples.status)
    }

    @Test("A request that arrives octet by octet is one request")
    func trickle() throws {
        let server = try RunningServer()
        let client = try RawClient(connectingTo: server.path)
        for character in #"{"verb":"status"}"# + "\n" { client.send(String(character)) }
        #expect(client.readToEnd().hasPrefix("{"))
    }

    @Test("Who says nothing is sent away after a second, and holds up nobody meanwhile")
    func silentClient() throws {
        let server = try RunningServer()
        let silent = try RawClient(connectingTo: server.path)
        let clock = ContinuousClock()
        let others = try clock.measure { _ = try ControlClient.ask(.status, at: server.path) as StatusReport }
        let leaving = clock.measure { #expect(silent.readToEnd() == "") }
        #expect(others < .milliseconds(500))
        #expect(leaving > .milliseconds(500) && leaving < .seconds(3))
    }

    @Test("Who does not read a long answer is sent away too")
    func deafClient() throws {
        let server = try RunningServer { request throws(Refusal) in
            var report = Examples.status
            if case .flows = request { report.ioReason = String(repeating: "x", count: 4_000_000) }
            return report
        }
        let deaf = try RawClient(connectingTo: server.path)
        deaf.send(#"{"verb":"flows"}"# + "\n")
        #expect(try ControlClient.ask(.status, at: server.path) as StatusReport == Examples.status)
        Thread.sleep(forTimeInterval: 1.5)
        #expect(deaf.readToEnd().utf8.count < 4_000_000)
    }

    @Test("Twenty clients at once are all answered, sixteen silent ones before them or not")
    func manyClients() async throws {
        let server = try RunningServer()
        let path = server.path
        let silent = try (0..<16).map { _ in try SilentClient(path) }
        let answers = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                group.addTask { (try? ControlClient.ask(.status, at: path) as StatusReport) == Examples.status }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(answers == 20)
        #expect(silent.count == 16)
    }

    @Test("However many say nothing, one more is answered at once")
    func crowd() throws {
        let server = try RunningServer()
        let silent = try (0..<60).map { _ in try SilentClient(server.path) }
        let begin = ContinuousClock.now
        #expect(try ControlClient.ask(.status, at: server.path) as StatusReport == Examples.status)
        #expect(ContinuousClock.now - begin < .milliseconds(900), "before the silent ones have had their second")
        #expect(silent.count == 60)
    }

    @Test("A socket that was taken away is made anew, where nobody else has taken its place")
    func restored() throws {
        let server = try RunningServer()
        #expect(try server.restore() == false)
        for _ in 0..<20 {
            try FileManager.default.removeItem(atPath: (server.path as NSString).deletingLastPathComponent)
            #expect(refusal { try ControlClient.ask(.status, at: server.path) as StatusReport } != nil, "the control")
            // What was made anew and taken away before it was met waits for the next time.
            for _ in 0..<2_000 where try !server.restore() { Thread.sleep(forTimeInterval: 0.001) }
            #expect(try ControlClient.ask(.status, at: server.path) as StatusReport == Examples.status)
        }
        #expect(try server.restore() == false)
        #expect(unsafe unlink(server.path) == 0)
        let another = try ControlServer(path: server.path)
        #expect(refusal { try server.restore() }?.because == "another forwarder answers on \(server.path)")
        server.stop()
        #expect(mode(of: server.path) != nil, "another's")
        another.stop()
        #expect(mode(of: server.path) == nil)
    }

    @Test("A client that goes away in the middle harms nobody")
    func vanishingClient() throws {
        let server = try RunningServer()
        for text in ["", "{", #"{"verb":"flows","top":1000}"# + "\n"] {
            let client = try RawClient(connectingTo: server.path)
            client.send(text)
        }
        #expect(try ControlClient.ask(.status, at: server.path) as StatusReport == Examples.status)
    }

    @Test("The node's own refusal reaches the client whole")
    func refusalTravels() throws {
        let own = Refusal(couldNot: "tell", because: "it is secret", remedy: "ask another", exitCode: .notPermitted)
        let server = try RunningServer { _ throws(Refusal) in throw own }
        #expect(refusal { try ControlClient.ask(.status, at: server.path) as StatusReport } == own)
    }

    @Test("An answer of another shape is told apart from no answer")
    func foreignAnswer() throws {
        let server = try RunningServer()
        let refused = refusal { try ControlClient.ask(.status, at: server.path) as FlowsReport }
        #expect(refused?.because.contains("another version") == true)
    }

    private func mode(of path: String) -> mode_t? {
        var entry = stat()
        return unsafe lstat(path, &entry) == 0 ? entry.st_mode : nil
    }
}

/// Holds a connection open and says nothing. A class, because a list of them is kept.
private final class SilentClient {
    private let client: RawClient
    init(_ path: String) throws { client = try RawClient(connectingTo: path) }
}
