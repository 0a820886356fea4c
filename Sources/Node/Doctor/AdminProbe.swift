import Glibc
import LinuxNetwork
import LinuxSystem
import Steering

extension Probe {
    static let admin = Probe(
        "admin", "Can metrics and health be told over HTTP, and do the answers reach who asks?", worst: .warning
    ) { surroundings throws(KernelError) in
        let settings = surroundings.settings
        var listen = settings.admin.listen
        if let status = surroundings.status {
            if let note = status.notes.first(where: { $0.hasPrefix(AdminService.complaint) }) {
                return judge(complaint: note, AdminService.obstacle(settings.admin)?.refusal)
            }
            guard let place = status.adminListen else {
                return .notAsked("the node that runs does not tell where", remedy: "forwarder status --json")
            }
            listen = Endpoint(place)
        } else if surroundings.isNodeThere {
            return .notAsked("a node runs that does not tell", remedy: "forwarder status")
        } else if let obstacle = AdminService.obstacle(settings.admin) {
            // What another user may not, the node's may.
            if let error = obstacle.error, error.errno == .permissionDenied, geteuid() != 0 { throw error }
            return .warning(obstacle.refusal.because, remedy: obstacle.refusal.remedy ?? "forwarder run")
        }
        guard let listen else { return .ok("metrics and health are told nowhere, as asked for") }
        var uplinks: [String] = []
        for link in surroundings.edges.uplinks.links where !listen.address.isLoopback {
            let own = try surroundings.netlink.addresses(of: link).map(\.address)
            let isTheirs = own.contains { address in
                listen.address.isUnspecified ? address.isV4 || !listen.address.isV4 : address == listen.address
            }
            if isTheirs { uplinks.append(link.name) }
        }
        let place =
            surroundings.status == nil ? "\(listen) is free for a node" : "the node that runs is asked at \(listen)"
        let finding = judge(listen, place, askedBy: uplinks, settings, surroundings.status?.guard)
        guard finding.severity == .ok, let path = settings.admin.tokenFile else { return finding }
        return judge(tokenFile: path, of: (try? TextFile(path).contents())??.owner) ?? finding
    }

    /// - Parameters:
    ///   - complaint: of the node that runs.
    ///   - obstacle: that stands there now, too.
    static func judge(complaint: String, _ obstacle: Refusal?) -> Finding {
        .warning(complaint, remedy: obstacle?.remedy ?? "read in its log what to do; it tries again every five seconds")
    }

    /// A file that this process can read, and whose mode is good, though a node might not.
    static func judge(tokenFile path: String, of owner: UInt32?) -> Finding? {
        guard let owner, owner != geteuid() else { return nil }
        return .note(
            "\(path) belongs to user \(owner): a node that has no more than it needs, as in a container, cannot read it",
            remedy: "chown \(geteuid()) \(path)")
    }

    /// - Parameters:
    ///   - place: all that is well, in words.
    ///   - uplinks: by which that address may be asked.
    ///   - told: what the node says that runs.
    static func judge(
        _ listen: Endpoint, _ place: String, askedBy uplinks: [String], _ settings: NodeSettings,
        _ told: StatusReport.Guard?
    ) -> Finding {
        let service = GuardRules.Service(.tcp, listen.port)
        let allowed = settings.allow ?? []
        guard !uplinks.isEmpty, !allowed.contains(service) else { return .ok(place) }
        let names = uplinks.joined(separator: ", ")
        let does = (told?.mode ?? settings.guarding) == .on ? "refuses" : "counts as leaked"
        let evidence =
            "the guard \(does) what \(listen) answers by \(names): FORWARDER_ALLOW, as it is set here, has no "
            + "tcp/\(listen.port)"
        let list = (allowed + [service]).map { "\($0.transport.rawValue)/\($0.port)" }.joined(separator: ",")
        let remedy = "FORWARDER_ALLOW=\(list)"
        // Whoever asks by the tailnet is answered.
        guard listen.address.isUnspecified else { return .warning(evidence, remedy: remedy) }
        return .note(
            evidence,
            remedy: "\(remedy), or name the one address where you ask: FORWARDER_ADMIN_LISTEN=ADDRESS:\(listen.port)")
    }
}
