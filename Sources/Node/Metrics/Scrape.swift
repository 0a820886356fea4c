import AdminEndpoint
import DataPlane
import FoundationEssentials
import LinuxSystem

/// All that the metrics are made of, at one moment. What is not known is none, and so are its metrics.
struct Scrape: Sendable {
    /// None while the node starts.
    var status: StatusReport?
    /// None where the packet loop has not answered.
    var snapshot: Snapshot?
    var loopSeconds: Double?
    /// None where nothing is capped.
    var quota: QuotaReport?
    /// That holds, counted from 1 in the order of the setting; 0 before the first.
    var stage = 0
    var requests = AdminServer.Counts()
    var health: HealthReport?
    let process = ProcessFigures()
}

extension Scrape {
    var statistics: Statistics? { snapshot?.statistics }
}
