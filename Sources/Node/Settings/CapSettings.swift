package import Cap

/// The cap, and whose months it follows.
package struct CapSettings: Sendable, Equatable {
    /// None: nothing is capped.
    package var limit: ByteCount?
    package var meter = MeteringPoint.uplink
    package var direction = BilledDirection.both
    package var resetDay = 1
    package var zone = Zone.utc
    package var stages = Stages.usual
    package var reserve = Portion.share(.percent(1))
    package var statusFile: String?

    package var metering: Metering { Metering(at: meter, direction) }

    package var calendar: BillingCalendar { BillingCalendar(resetDay: resetDay, zone: zone) }

    /// What a period may use, with what was granted for it; nil where nothing is capped.
    package func allowance(granted: ByteCount = ByteCount(0)) -> Allowance? {
        limit.map { Allowance(cap: $0, granted: granted, reserve: reserve) }
    }

    /// Sees that stages and reserve fit the cap.
    func fit(beside stateDirectory: String) throws(Refusal) {
        guard let limit, let allowance = allowance() else { return }
        if let statusFile, statusFile == "\(stateDirectory)/ledger" {
            throw Refusal(
                couldNot: "use the settings cap.status_file and state_dir together",
                because: "\(statusFile) is the ledger, which would be written over",
                remedy: "write for example --cap-status-file \(stateDirectory)/status.json", exitCode: .usage)
        }
        guard allowance.end > 0 else {
            throw .misfit("cap.reserve", "of a cap of \(limit) a reserve of \(reserve) leaves nothing", "1%")
        }
        do {
            try stages.fit(limit, before: .bytes(ByteCount(allowance.end)), reserve)
        } catch {
            throw .misfit("cap.stages", error.reason, "\(Stages.usual)")
        }
    }
}

extension Stages {
    /// - Parameter end: where stop begins at the latest.
    fileprivate func fit(_ cap: ByteCount, before end: Portion, _ reserve: Portion) throws(Misfit) {
        if let above = list.first(where: { Portion.bytes(cap).isLess(than: $0.threshold, of: cap) }) {
            throw Misfit(reason: "\"\(above)\" begins above the cap of \(cap)")
        }
        for (stage, next) in zip(list, list.dropFirst()) where !stage.threshold.isLess(than: next.threshold, of: cap) {
            throw Misfit(reason: "of a cap of \(cap) \"\(next)\" does not begin after \"\(stage)\"")
        }
        guard list.last?.action == .stop else { return }
        if let late = list.dropLast().first(where: { !$0.threshold.isLess(than: end, of: cap) }) {
            throw Misfit(
                reason: "\"\(late)\" never holds: stop leaves a reserve of \(reserve), so it begins no later")
        }
    }
}

extension Refusal {
    fileprivate static func misfit(_ key: String, _ reason: String, _ example: String) -> Refusal {
        let flag = String(key.map { $0 == "." ? "-" : $0 })
        return Refusal(
            couldNot: "use the settings cap and \(key) together", because: reason,
            remedy: "write for example --cap 35GB --\(flag) \(shellWord(example))", exitCode: .usage)
    }
}

func capLimit(_ text: String) throws(Misfit) -> ByteCount? {
    guard text != "none" else { return nil }
    let limit = try byteCount(text)
    guard limit.bytes > 0 else { throw Misfit(reason: "would let nothing pass; none is written none") }
    return limit
}

/// By its name in the IANA database; a city alone is enough to be told the rest.
func zone(_ text: String) throws(Misfit) -> Zone {
    if let zone = Zone(text) { return zone }
    let names = Zone.names
    let place = text.lowercased().map { $0 == " " ? "_" : String($0) }.joined()
    let meant = names.first { "/\($0.lowercased())".hasSuffix("/\(place)") } ?? nearest(to: text, among: names)
    throw Misfit(reason: "is no time zone of the IANA database", meant: meant)
}
