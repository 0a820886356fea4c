import AdminEndpoint
import DataPlane

// What a running node tells over its admin endpoint.

extension RunningNode {
    /// All that the metrics are made of. It asks the packet loop, once.
    func scrape(_ requests: AdminServer.Counts) -> Scrape {
        var scrape = Scrape(requests: requests)
        let state = now
        if case .running(let session) = state {
            scrape.snapshot = try? session.ask { _, snapshot in snapshot }
            scrape.loopSeconds = session.loopSeconds
            // A loop that does not answer is not asked twice.
            guard scrape.snapshot != nil else { return scrape }
        }
        scrape.status = try? StatusReport(self, state, scrape.snapshot)
        scrape.quota = quota.withLock { $0 }?.latestReport
        if let stage = scrape.quota?.stage {
            scrape.stage = 1 + (settings.cap.stages.list.firstIndex { "\($0)" == stage } ?? -1)
        }
        return scrape
    }
}
