import Cap
import FoundationEssentials
import LinuxSystem

/// The state of the cap in the form of a script that many run (`status.json`), for who reads that: rewritten when it changes, at most
/// at each look. Amounts are gigabytes of 10^9, as there.
struct StatusFile: Equatable, Sendable, Encodable {
    enum Status: String, Encodable {
        case normal, warning, throttled
        case limitExceeded = "limit_exceeded"
    }

    struct Usage: Equatable, Encodable {
        var currentSessionGb: Double
        var monthlyTotalGb: Double
        var limitGb: Double?
        var warningThresholdGb: Double?
        var throttleThresholdGb: Double?
    }

    struct Thresholds: Equatable, Encodable {
        var warningReached: Bool
        var throttleActive: Bool
        var limitExceeded: Bool
    }

    var status: Status
    var timestamp: Date?
    var usage: Usage
    var thresholds: Thresholds

    /// - Parameter session: bytes since this node began to count.
    init(_ account: Account, _ settings: CapSettings, _ throttle: Throttle, session: UInt64) {
        let used = account.usage(at: SystemClock.seconds).billed(by: settings.metering)
        let allowance = account.isUncapped ? nil : settings.allowance(granted: ByteCount(account.granted))
        func beginning(_ isWanted: (Stage.Action) -> Bool) -> Double? {
            guard let allowance, let stage = settings.stages.list.first(where: { isWanted($0.action) }) else {
                return nil
            }
            return Self.gigabytes(settings.stages.beginning(of: stage, in: allowance))
        }
        let isLimited = throttle.passage != .unlimited
        let isOver = throttle.passage == .stopped || allowance.map { used >= $0.limit } ?? false
        status = isOver ? .limitExceeded : isLimited ? .throttled : throttle.stage == nil ? .normal : .warning
        usage = Usage(
            currentSessionGb: Self.gigabytes(session), monthlyTotalGb: Self.gigabytes(used),
            limitGb: allowance.map { Self.gigabytes($0.limit) }, warningThresholdGb: beginning { $0 == .warn },
            throttleThresholdGb: beginning { action in
                switch action {
                case .rate, .pace: true
                case .warn, .stop: false
                }
            })
        thresholds = Thresholds(
            warningReached: throttle.stage != nil, throttleActive: isLimited && throttle.passage != .stopped,
            limitExceeded: isOver)
    }

    /// Hundredths: what changes with each packet would be written with each look.
    private static func gigabytes(_ bytes: UInt64) -> Double { Double(bytes / 10_000_000) / 100 }

    /// Replaces the file at a path; in place, for a container may have only the file.
    func write(to path: String, at now: Date) throws(KernelError) {
        var stamped = self
        stamped.timestamp = now
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let json = try? encoder.encode(stamped) else { return }
        try TextFile(path).write(Array(json) + [UInt8(ascii: "\n")])
    }
}
