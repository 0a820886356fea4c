import Cap
import LinuxSystem

// Settings read again, while the node runs.

extension RunningNode {
    /// Reads the settings again. Those that the loop is made of take a new session, without the old one's flows.
    /// Settings that cannot be met here are given up for the old ones.
    func reload(
        _ session: consuming Session, _ course: inout Course, _ host: inout Host
    ) throws(Refusal) -> Session {
        let old = settings
        let new: NodeSettings
        let chosen: (edges: Edges, routing: Routing)
        do throws(Refusal) {
            new = try reread()
            chosen = try choose(new, host)
            try QuotaWatch.expectDirectory(new)
            if new.cap.limit != nil, old.cap.limit != nil, new.stateDirectory != old.stateDirectory {
                throw Refusal(
                    couldNot: "take a new state_dir", because: "the ledger is kept in \(old.stateDirectory)",
                    remedy: "start the node again", exitCode: .usage)
            }
            guard new.controlSocket == old.controlSocket else {
                throw Refusal(
                    couldNot: "take a new control socket", because: "the node answers on \(old.controlSocket)",
                    remedy: "start the node again", exitCode: .usage)
            }
            if new.needsNewLoop(after: old), quota.withLock({ $0 })?.awaitDisk() == false {
                throw Refusal(
                    couldNot: "take settings that need a new packet loop",
                    because:
                        "the disk under \(old.stateDirectory) does not answer, and what was counted is to be written first",
                    remedy: "see to that disk, then send SIGHUP again", exitCode: .unavailable)
            }
            if old.cap.limit == nil {
                let began = Int64(session.startedAt.timeIntervalSince1970)
                try beginQuota(session, new, uncappedSince: max(began, capLifted.withLock { $0 }))
            }
        } catch {
            log.error("the new settings are refused, the old ones stay: \(error)")
            return session
        }
        take(new)
        log.info("settings read again")
        quota.withLock { $0 }?.follow(new.cap)
        if new.cap.limit == nil, old.cap.limit != nil {
            // Or a later node with a cap would bill what passes without one; but what no ledger has is nowhere else.
            if endQuota() { session.unpinMeters() }
            capLifted.withLock { $0 = SystemClock.seconds }
            session.set(.open)
        }
        if new.dns != old.dns { log.notice("how names are split changes with the next start") }
        let edges = Set([new.tailnet, new.vpn])
        if edges != [old.tailnet, old.vpn] { course.told.missing = nil }
        // Of uplinks, too, the guard is taken where another was named: it would refuse all by an interface that it does not know.
        let uplinks = new.uplink.map { named in session.edges.uplinks.links.map(\.name).filter { $0 != named } } ?? []
        session.leave(edges: ([old.tailnet, old.vpn] + uplinks).filter { !edges.contains($0) })
        guard new.needsNewLoop(after: old) else { return session }
        log.notice("these settings take a new packet loop: all flows end, and the counts begin again")
        course.told.missing = nil
        let lock = try Host.lock()
        let renewed = try renew(session, chosen, by: new, or: old, &host)
        lock.release()
        return renewed
    }

    /// - Parameter old: the settings that are taken again where the new ones cannot be met.
    private func renew(
        _ session: Session, _ chosen: (edges: Edges, routing: Routing), by new: NodeSettings, or old: NodeSettings,
        _ host: inout Host
    ) throws(Refusal) -> Session {
        session.close()
        endQuota()
        try finish(session)
        do throws(Refusal) {
            let renewed = try Session(new, chosen.edges, chosen.routing, &host)
            try beginQuota(renewed, new)
            renewed.leave(edges: session.edgesToLeave)
            return renewed
        } catch {
            log.error("the new settings cannot be met here, the old ones are taken again: \(error)")
            take(old)
            let (edges, routing) = try choose(old, host)
            let session = try Session(old, edges, routing, &host)
            try beginQuota(session, old)
            return session
        }
    }
}

extension NodeSettings {
    /// Whether the loop is made of what is other in these.
    fileprivate func needsNewLoop(after old: NodeSettings) -> Bool {
        (io, flows, bindingPorts) != (old.io, old.flows, old.bindingPorts)
    }
}
