import Foundation
import Testing

@testable import Node

@Suite("The health of a node")
struct HealthReportTests {
    private var facts: HealthReport.Facts {
        var facts = HealthReport.Facts()
        facts.uplinks = ["eth0"]
        facts.ledger = .open(findings: [])
        facts.vpn = .init(state: .up, since: Examples.start)
        return facts
    }

    private func changed(_ change: (inout HealthReport.Facts) -> Void) -> HealthReport {
        var facts = facts
        change(&facts)
        return HealthReport(judging: facts)
    }

    @Test("A sound node is one JSON object with exactly these keys")
    func sound() throws {
        let names = ["loop", "edges", "guard", "leaks", "separation", "ledger", "vpn"]
        let checks = names.map { #"{"name":"\#($0)","ok":true}"# }.joined(separator: ",")
        #expect(
            String(decoding: try HealthReport(judging: facts).json(), as: UTF8.self)
                == #"{"alive":true,"checks":[\#(checks)],"ready":true,"reasons":[],"schema":"forwarder.health/1"}"#)
    }

    @Test("What is not well has a code, a reason, and speaks against its check alone")
    func reasons() {
        func expect(
            _ code: HealthReport.Code, _ check: HealthReport.Check, _ report: HealthReport,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(report.reasons.map(\.code) == [code], sourceLocation: sourceLocation)
            #expect(report.checks.filter { !$0.ok }.map(\.name) == [check], sourceLocation: sourceLocation)
            #expect(report.alive && !report.ready, sourceLocation: sourceLocation)
        }
        expect(.waiting, .edges, changed { $0.missing = ["tun0"] })
        expect(.guardObserves, .guard, changed { $0.guarding = .observe })
        expect(.noUplink, .guard, changed { $0.uplinks = [] })
        expect(.guardMissing, .guard, changed { $0.unguarded = ["eth0"] })
        expect(.leaked, .leaks, changed { $0.leaked = 1 })
        expect(.routingOpen, .separation, changed { $0.gone = ["a rule of preference 91"] })
        expect(.ledgerClosed, .ledger, changed { $0.ledger = .closed })
        expect(.ledgerUnwritten, .ledger, changed { $0.ledger = .open(findings: [.slotBad, .cannotWrite]) })
        expect(.countersUnreadable, .ledger, changed { $0.ledger = .open(findings: [.countersUnreadable]) })
        expect(.vpnStale, .vpn, changed { $0.vpn?.state = .stale })
        expect(.vpnDown, .vpn, changed { $0.vpn?.state = .down })
        #expect(changed { $0.ledger = nil }.ready, "nothing is capped")
        #expect(changed { $0.ledger = .open(findings: [.slotBad, .clockDoubtful, .countersNotPinned]) }.ready)
    }

    @Test("A loop that does not answer is not alive, and nothing is said to be well", arguments: [true, false])
    func silent(isCapped: Bool) {
        let report = changed {
            $0.isAnswering = false
            if !isCapped { $0.ledger = nil }
        }
        #expect(!report.alive && !report.ready && report.checks.allSatisfy { !$0.ok })
        #expect(report.reasons.map(\.code) == [.loopSilent])
    }

    @Test("Nobody running is 69; a node that says nothing, or too little too slowly, is unwell within three seconds")
    func unanswered() throws {
        var settings = NodeSettings()
        settings.controlSocket = "/tmp/forwarder-test-nobody/control.sock"
        #expect(throws: Refusal.self) { try HealthReport(asking: settings) }
        // A server that accepts nobody: who connects waits in its queue.
        let path = "/tmp/forwarder-test-\(UUID().uuidString).sock"
        let server = try ControlServer(path: path)
        settings.controlSocket = path
        let begin = ContinuousClock.now
        let report = try HealthReport(asking: settings)
        #expect(begin.duration(to: .now) < .seconds(3))
        #expect(report.reasons.map(\.code) == [.unanswered] && !report.alive)
        withExtendedLifetime(server) {}
    }

    @Test("A node's word comes over the socket as it is")
    func asked() throws {
        let server = try RunningServer { (request: ControlRequest) throws(Refusal) -> any Report in
            #expect(request == .health)
            return HealthReport([.init(.starting, "it is early")])
        }
        var settings = NodeSettings()
        settings.controlSocket = server.path
        #expect(try HealthReport(asking: settings).reasons == [.init(.starting, "it is early")])
    }
}
