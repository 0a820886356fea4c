import LinuxSystem
import LocalAPI

extension RunningNode {
    /// What is known from one look at the edges to the next.
    struct Course {
        typealias Instant = ContinuousClock.Instant

        /// When to give up, as long as nothing was forwarded.
        var deadline: Instant?
        var isFirstLook = true
        /// Names of interfaces that have been uplinks.
        var uplinks: Set<String> = []
        /// When the ports were last looked up that the host's own sockets hold.
        var portsLookedUp = Instant.now
        /// When the last interface but our own went away.
        var abandoned: Instant?
        var hadInterfaces = false
        /// When the start is over: the looks that it gives rise to are done by then.
        var startEnds: Instant?
        /// After a look that failed, the next one is soon.
        var retry: Instant?
        /// When resolv.conf may be taken over again.
        var namesRetry: Instant?
        var adminRetry: Instant?
        var told = Told()

        init(deadline: Instant?) { self.deadline = deadline }

        /// What was last said, each thing once.
        struct Told {
            /// To be missing.
            var missing: [String]?
            /// By tailscaled.
            var routes: SubnetRouteWatch.Answer?
            /// How the control plane is known.
            var controlPlane: String?
            var warnings: Set<String> = []
            /// Why nobody can ask.
            var unasked: String?
        }
    }
}

extension RunningNode.Course {
    /// A person chooses what the host binds inside our range: rarely, and not in a hurry.
    static let portsInterval = Duration.seconds(60)
    /// A container's owner takes its interfaces one by one, and may be about to bring the next.
    static let abandonment = Duration.seconds(5)

    var nextLook: Instant {
        [deadline, retry, namesRetry, adminRetry, startEnds, abandoned.map { $0 + Self.abandonment }].compactMap(\.self)
            .reduce(portsLookedUp + Self.portsInterval, min)
    }

    /// Remembers the edges of a look.
    mutating func meet(_ edges: Edges, at now: Instant) {
        uplinks.formUnion(edges.uplinks.links.map(\.name))
        hadInterfaces = hadInterfaces || !edges.isAbandoned
        abandoned = hadInterfaces && edges.isAbandoned ? abandoned ?? now : nil
    }

    /// Why the node ends with this look, if it does.
    func end(_ missing: [String], at now: Instant) -> Refusal? {
        if let abandoned, now >= abandoned + Self.abandonment {
            return Refusal(
                couldNot: "go on forwarding",
                because: "no interface is left in this network namespace: its container has ended or was made anew",
                remedy: "make those anew that shared it: docker compose up -d --force-recreate tailscale forwarder",
                exitCode: .unavailable)
        }
        guard let deadline, now >= deadline else { return nil }
        return Refusal(
            couldNot: "forward", because: "there is still no \(missing.joined(separator: ", no "))",
            remedy: "start tailscaled and the VPN first, name the interfaces with --tailnet and --vpn, "
                + "or wait longer with --wait",
            exitCode: .unavailable)
    }
}
