import LinuxNetwork
import LinuxSystem

extension Probe {
    static let rules = Probe(
        "rules", "Does our rule refuse exit traffic that meets no program, before any other rule routes it?",
        worst: .warning
    ) { surroundings throws(KernelError) in
        judge(
            try Rule.all(surroundings.netlink), surroundings.settings, isExpected: surroundings.isClosingExpected)
    }

    /// - Parameters:
    ///   - rules: of each family that the kernel has, in its order.
    ///   - isExpected: whether a node has been here and closed the host.
    static func judge(
        _ rules: [AddressFamily: [Rule]], _ settings: NodeSettings, isExpected: Bool
    ) -> Finding {
        let findings = AddressFamily.allCases.compactMap { family in
            rules[family].map { judge($0, family, settings, isExpected: isExpected) }
        }
        return findings.max { $0.severity < $1.severity } ?? .ok("no rules are here")
    }

    /// - Parameters:
    ///   - rules: of one family, in the kernel's order.
    ///   - isExpected: whether a node has been here and closed the host.
    static func judge(
        _ rules: [Rule], _ family: AddressFamily, _ settings: NodeSettings, isExpected: Bool
    ) -> Finding {
        let closing = Rule.closing(settings.tailnet, family)
        let place = rules.firstIndex(of: closing)
        // A new rule stands behind those of the same preference.
        let earlier = place.map { Array(rules[..<$0]) } ?? rules.filter { $0.preference <= closing.preference }
        let foreign = earlier.filter { $0.origin != Rule.forwarder && $0.meetsClients(settings) }
        let routing = foreign.filter { $0.mayRoute(past: closing.preference) }
        if let first = routing.first {
            let preferences = routing.map { "\($0.preference)" }.joined(separator: ", ")
            return .warning(
                "before ours at \(closing.preference) stands \(family.command) rule \(preferences), "
                    + "which may route what comes in by \(settings.tailnet) whenever no program stands there, "
                    + "as on one that is made anew while no node runs",
                remedy:
                    "\(family.command) rule delete preference \(first.preference), and if it is needed add it again "
                    + "with a preference above \(closing.preference)")
        }
        if isExpected, place == nil {
            return .warning(
                "our rule is gone: \(closing)",
                remedy: "\(nextCommand("run", controlSocket: settings.controlSocket)) puts it back, "
                    + "or: \(closing.command)")
        }
        // Exit traffic passes by all rules. What else may be lost is what the host routes.
        if let first = foreign.first(where: {
            $0.isRefusal && ($0.incoming == nil || !settings.local.isEmpty)
        }) {
            return .note(
                "before ours at \(closing.preference) stands \(family.command) rule \(first.preference), which refuses "
                    + (first.incoming == nil
                        ? "what it matches, also of the host itself and of the tunnels"
                        : "what clients send to what is kept local"),
                remedy: "if it is not meant for that: \(family.command) rule delete preference \(first.preference)")
        }
        let known = Rule.Known.allCases.compactMap { owner in
            let preferences = rules.filter { owner.preferences.contains($0.preference) }.map { "\($0.preference)" }
            return preferences.isEmpty ? nil : "\(owner.rawValue)'s \(preferences.joined(separator: ", "))"
        }
        return .ok(
            (place == nil ? "nothing stands in the way of our rule at \(closing.preference)" : "our rule is first")
                + (known.isEmpty ? "" : "; \(known.joined(separator: " and ")) do not see exit traffic"))
    }
}

extension Surroundings {
    /// A node, running or dead, has closed the host.
    var isClosingExpected: Bool {
        switch presence {
        case .running: true
        case .nobody(.programs(_, let closed)): !closed.isEmpty
        case .silent, .nobody: false
        }
    }
}

extension Rule {
    /// Rules that are usual beside us.
    fileprivate enum Known: String, CaseIterable {
        case gluetun = "Gluetun"
        case tailscale = "Tailscale"

        var preferences: ClosedRange<UInt32> { self == .gluetun ? 98...101 : 5210...5270 }
    }

    /// Whether it has the kernel route what it matches, or pass over the rule of that preference.
    fileprivate func mayRoute(past closing: UInt32) -> Bool {
        switch action {
        case .lookup(let table): table != Route.local
        case .goto(let preference): preference > closing
        case .unreachable, .blackhole, .prohibit, .nothing: false
        }
    }

    fileprivate var isRefusal: Bool { [.unreachable, .blackhole, .prohibit].contains(action) }

    /// Whether it matches packets that come from clients: other than to what is kept local, or by a mark that such
    /// packets do not bear.
    fileprivate func meetsClients(_ settings: NodeSettings) -> Bool {
        if isInverted { return true }
        if let incoming, incoming != settings.tailnet { return false }
        if outgoing != nil || (mark?.value ?? 0) != 0 { return false }
        if let destination, settings.local.contains(destination) { return false }
        return source.map { source in
            IPPrefix.tailnets.contains { $0.contains(source.address) || source.contains($0.address) }
        } ?? true
    }

    /// Which adds it.
    fileprivate var command: String {
        "\(family.command) rule add iif \(incoming ?? "") preference \(preference) protocol \(origin) unreachable"
    }
}
