/// Whether a node lives, and whether it may be relied on, as `forwarder health` tells it.
package struct HealthReport: Report, Equatable {
    /// What is looked at, in this order. Scripts see the raw values: never renamed.
    package enum Check: String, Codable, CaseIterable, Sendable {
        /// The packet loop answers: the node is alive.
        case loop
        /// Both edges are met, and packets are forwarded.
        case edges
        /// A guard that refuses stands on every uplink.
        case `guard`
        /// No packet has left that it would have refused, since the packet loop was started.
        case leaks
        /// The control plane's ways are apart from clients', and exit traffic's other ways are closed.
        case separation
        /// What is used of the cap is read and written; well where nothing is capped.
        case ledger
        /// The VPN's tunnel is up, and answers who sends into it.
        case vpn
    }

    /// What is not well. Scripts see the raw values: never renamed.
    package enum Code: String, Codable, CaseIterable, Sendable {
        /// The host is not closed yet.
        case starting
        case stopping
        /// A node is there and says nothing.
        case unanswered
        case loopSilent = "loop_silent"
        case waiting
        case noUplink = "no_uplink"
        case guardMissing = "guard_missing"
        case guardObserves = "guard_observes"
        case leaked
        /// Rules or routes that a node makes are gone.
        case routingOpen = "routing_open"
        /// The kernel does not tell what the guard, its filters or its rules are like.
        case unreadable
        case ledgerClosed = "ledger_closed"
        case ledgerUnwritten = "ledger_unwritten"
        case countersUnreadable = "counters_unreadable"
        case vpnStale = "vpn_stale"
        case vpnDown = "vpn_down"

        /// Those that it speaks against.
        fileprivate var checks: [Check] {
            switch self {
            case .starting, .stopping, .unanswered, .loopSilent: Check.allCases
            case .waiting: [.edges]
            case .noUplink, .guardMissing, .guardObserves: [.guard]
            case .leaked: [.leaks]
            case .routingOpen: [.separation]
            case .unreadable: [.guard, .leaks, .separation]
            case .ledgerClosed, .ledgerUnwritten, .countersUnreadable: [.ledger]
            case .vpnStale, .vpnDown: [.vpn]
            }
        }
    }

    /// Why a node is not ready: it continues the sentence "not ready, because".
    package struct Reason: Codable, Equatable, Sendable {
        package var code: Code
        package var because: String
        /// What a person does about it; none where waiting is all.
        package var remedy: String?

        package init(_ code: Code, _ because: String, remedy: String? = nil) {
            self.code = code
            self.because = because
            self.remedy = remedy
        }
    }

    package struct Result: Codable, Equatable, Sendable {
        package var name: Check
        package var ok: Bool
    }

    package var schema = "forwarder.health/1"
    /// Whether the packet loop answers, also while there is nothing for it to do.
    package var alive: Bool
    /// Whether all checks are well.
    package var ready: Bool
    package var reasons: [Reason]
    package var checks: [Result]

    package init(_ reasons: [Reason]) {
        let unwell = Set(reasons.flatMap(\.code.checks))
        checks = Check.allCases.map { Result(name: $0, ok: !unwell.contains($0)) }
        alive = !unwell.contains(.loop)
        ready = unwell.isEmpty
        self.reasons = reasons
    }
}

extension HealthReport {
    /// Nobody waits longer for a node's answer.
    package static let patience = Duration.milliseconds(2_500)

    /// A running node's word, or that it says nothing.
    ///
    /// - Throws: a refusal with exit code 69 if no node runs.
    package init(asking settings: NodeSettings) throws(Refusal) {
        do throws(ControlClient.Silence) {
            self = try ControlClient.ask(.health, at: settings.controlSocket, within: Self.patience)
        } catch {
            switch error {
            case .refused(let refusal): throw refusal
            case .unanswered:
                self.init([
                    Reason(
                        .unanswered, "the node on \(settings.controlSocket) is there but said nothing in time",
                        remedy: "look at its log; if this lasts, restart it")
                ])
            }
        }
    }
}
