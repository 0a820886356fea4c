import Glibc
import Lab

/// A fault, the state that it leaves the node in, and the one after its cure. Each begins and ends with a node that forwards.
struct Condition: Sendable {
    typealias Deed = @Sendable (Deployed) throws(LabFailure) -> Void

    let state: String
    let circumstances: Circumstances
    let provoke: Deed
    /// What the state is called once it is cured; nothing where there is nothing to cure.
    let cured: String?
    let cure: Deed

    init(
        _ state: String, _ circumstances: Circumstances = .init(), cured: String? = nil,
        provoke: @escaping Deed = { _ in }, cure: @escaping Deed = { _ in }
    ) {
        self.state = state
        self.circumstances = circumstances
        self.cured = cured
        self.provoke = provoke
        self.cure = cure
    }

    static let all = running + dead
}

// MARK: With us alive

extension Condition {
    private static let running: [Condition] =
        [
            Condition("up"),
            Condition(
                "vpn_stale", .init(vpnIsUp: false), cured: "vpn_answers_again",
                provoke: { node throws(LabFailure) in
                    try node.lab.silenceServer()
                    try node.awaitStale()
                }, cure: { node throws(LabFailure) in try node.lab.unsilenceServer() }),
            Condition(
                "vpn_down", .init(vpnIsUp: false), cured: "vpn_up_again",
                provoke: { node throws(LabFailure) in try node.lab.downVPN() },
                cure: { node throws(LabFailure) in try node.lab.upVPN() }),
            Condition(
                "vpn_deleted", .init(vpnIsUp: false), cured: "vpn_recreated",
                provoke: { node throws(LabFailure) in try node.lab.cutVPN() },
                cure: { node throws(LabFailure) in try node.lab.redigVPN() }),
            Condition(
                "uplink_down", .init(uplinkIsUp: false), cured: "uplink_bounced",
                provoke: { node throws(LabFailure) in try node.lab.downUplink() },
                cure: { node throws(LabFailure) in try node.lab.upUplink() }),
            Condition(
                "uplink_deleted", .init(uplinkIsUp: false), cured: "uplink_recreated",
                provoke: { node throws(LabFailure) in try node.lab.cutUplink() },
                cure: { node throws(LabFailure) in try node.lab.relayUplink() }),
            Condition(
                "tailnet_deleted", .init(tailnetIsUp: false), cured: "tailnet_recreated",
                provoke: { node throws(LabFailure) in node.lab.cutTailnet() },
                cure: { node throws(LabFailure) in try node.lab.redigTailnet() }),
            Condition(
                "frozen", .init(node: .frozen), cured: "thawed",
                provoke: { node throws(LabFailure) in try node.forwarder?.freeze() },
                cure: { node throws(LabFailure) in node.forwarder?.child.signal(SIGCONT) }),
            Condition("reloaded", provoke: { node throws(LabFailure) in try node.reload() }),
            Condition(
                "ruleset_flushed", cured: "ruleset_restored",
                provoke: { node throws(LabFailure) in try node.lab.flushRuleset() },
                cure: { node throws(LabFailure) in try node.lab.restoreRuleset() }),
            Condition(
                "resolv_conf_rewritten",
                provoke: { node throws(LabFailure) in try node.lab.tailscaled.perform(.rewriteResolvConf) }),
        ]
        + injections.map { name, inject, withdraw in
            Condition("\(name)_injected", cured: "\(name)_withdrawn", provoke: inject, cure: withdraw)
        } + [
            // Where nothing but a guard stands between the routes and the uplink.
            Condition(
                "all_open", .init(vpnIsUp: false), cured: "all_closed_again",
                provoke: { node throws(LabFailure) in try node.openAll() },
                cure: { node throws(LabFailure) in try node.closeAll() })
        ]

    fileprivate static let halves = ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]
    private static let hosts = ["203.0.113.10/32", "2001:db8:113::10/128"]

    private static let injections: [(String, Deed, Deed)] = [
        (
            "half_routes", { node throws(LabFailure) in try node.lab.injectRoutes(to: halves) },
            { node throws(LabFailure) in try node.lab.withdrawRoutes(to: halves) }
        ),
        (
            "host_routes", { node throws(LabFailure) in try node.lab.injectRoutes(to: hosts) },
            { node throws(LabFailure) in try node.lab.withdrawRoutes(to: hosts) }
        ),
        (
            "router_advertisement", { node throws(LabFailure) in try node.lab.advertiseRouter() },
            { node throws(LabFailure) in try node.lab.forgetRouters() }
        ),
    ]
}

// MARK: With us dead

extension Condition {
    private static let dead: [Condition] = [
        Condition(
            "stopped", .init(node: .dead), cured: "restarted",
            provoke: { node throws(LabFailure) in node.stop() },
            cure: { node throws(LabFailure) in try node.start() }),
        Condition(
            "killed", .init(node: .dead), cured: "started_again",
            provoke: { node throws(LabFailure) in node.kill() },
            cure: { node throws(LabFailure) in try node.start() }),
        killed(
            "vpn_deleted", .init(node: .dead, vpnIsUp: false),
            { node throws(LabFailure) in try node.lab.cutVPN() }, { node throws(LabFailure) in try node.lab.redigVPN() }
        ),
        killed(
            "vpn_recreated", .init(node: .dead),
            { node throws(LabFailure) in
                try node.lab.cutVPN()
                try node.lab.redigVPN()
            }),
        // Table 51 lost its routes with the interface, and nobody puts them back.
        killed(
            "uplink_recreated", .init(node: .dead, uplinkIsUp: false),
            { node throws(LabFailure) in
                try node.lab.cutUplink()
                try node.lab.relayUplink()
            }),
        killed(
            "tailnet_recreated", .init(node: .dead),
            { node throws(LabFailure) in
                node.lab.cutTailnet()
                try node.lab.redigTailnet()
            }),
        killed(
            "ruleset_flushed", .init(node: .dead),
            { node throws(LabFailure) in try node.lab.flushRuleset() },
            { node throws(LabFailure) in try node.lab.restoreRuleset() }),
        killed(
            "all_open", .init(node: .dead, vpnIsUp: false),
            { node throws(LabFailure) in try node.openAll() }, { node throws(LabFailure) in try node.closeAll() }),
        // The program at the tailnet edge is gone, too: only the rules of the host are left.
        killed(
            "tailnet_recreated_all_open", .init(node: .dead, vpnIsUp: false),
            { node throws(LabFailure) in
                try node.openAll()
                node.lab.cutTailnet()
                try node.lab.redigTailnet()
            }, { node throws(LabFailure) in try node.closeAll() }),
    ]

    private static func killed(
        _ name: String, _ circumstances: Circumstances, _ provoke: @escaping Deed, _ cure: @escaping Deed = { _ in }
    ) -> Condition {
        Condition(
            "killed_\(name)", circumstances, cured: "after_\(name)",
            provoke: { node throws(LabFailure) in
                node.kill()
                try provoke(node)
            },
            cure: { node throws(LabFailure) in
                try cure(node)
                try node.start()
            })
    }
}

extension Deployed {
    /// No VPN, no firewall, and routes to the uplink for everything.
    fileprivate func openAll() throws(LabFailure) {
        try lab.cutVPN()
        try lab.flushRuleset()
        try lab.injectRoutes(to: Condition.halves)
    }

    fileprivate func closeAll() throws(LabFailure) {
        try lab.withdrawRoutes(to: Condition.halves)
        try lab.restoreRuleset()
        try lab.redigVPN()
    }
}
