import Cap
import LinuxSystem

/// What `forwarder quota` answers: a running node's word, or what the last one has written.
extension QuotaReport {
    package init(asking settings: NodeSettings, for change: ControlRequest.Change? = nil) throws(Refusal) {
        guard !ControlClient.isAnyoneThere(at: settings.controlSocket) else {
            self = try ControlClient.ask(.quota(change), at: settings.controlSocket)
            return
        }
        guard settings.cap.limit != nil else { throw Refusal.nothingCapped }
        let directory = settings.stateDirectory
        let now = SystemClock.seconds
        // What the next node will do first.
        func enter(_ account: inout Account) {
            account.enter(
                settings.cap.calendar.period(containing: now).seconds, under: settings.cap.limit?.bytes, at: now)
        }
        let entry: LedgerEntry?
        let badSlots: [Int]
        do throws(LedgerRefusal) {
            if let change {
                entry = try LedgerFile.amend(in: directory) { account in
                    enter(&account)
                    account.take(change, in: settings.cap.calendar, at: now)
                }
                badSlots = []
            } else {
                let content = try LedgerFile.read(in: directory)
                (entry, badSlots) = (content?.entry, content?.badSlots ?? [])
            }
        } catch {
            throw Refusal(ledger: error, in: directory)
        }
        guard var account = entry?.account else { throw .nothingWritten(in: directory) }
        enter(&account)
        var throttle = Throttle()
        let allowance = settings.cap.allowance(granted: ByteCount(account.granted))
        throttle.follow(
            account.consumption(by: settings.cap.metering, at: now), of: account.isUncapped ? nil : allowance,
            by: settings.cap.stages, until: account.period.upperBound, now: now)
        self.init(account, settings.cap, throttle, isRunning: false)
        if let slot = badSlots.first { tell(.slotBad(slot)) }
        if now < account.period.lowerBound { tell(.clockDoubtful(.behind)) }
    }

    /// - Throws: a refusal for what is no amount.
    package static func grant(_ text: String) throws(Refusal) -> ControlRequest.Change {
        do {
            return .grant(try byteCount(text).bytes)
        } catch {
            throw Refusal(
                couldNot: "grant \"\(text)\"", because: "it \(error.reason)", remedy: "forwarder quota grant 5GB",
                exitCode: .usage)
        }
    }
}

extension Account {
    fileprivate mutating func take(_ change: ControlRequest.Change, in calendar: BillingCalendar, at now: Int64) {
        switch change {
        case .grant(let count): grant(count)
        case .lift: liftCap()
        case .reset: reset(to: calendar.period(containing: now).seconds, at: now)
        }
    }
}
