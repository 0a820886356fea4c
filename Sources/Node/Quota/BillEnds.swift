import Cap
import LinuxSystem
import Steering

// Where a bill is made without a node that follows it: before the first has come, and once the last is gone.

extension Steering {
    /// Loads the programs, to count on where the bill's others did.
    ///
    /// - Throws: also that another node makes that bill now: what passes here is none of it.
    init(countingFor settings: NodeSettings) throws(Refusal) {
        if settings.cap.limit != nil {
            do throws(LedgerRefusal) { try LedgerFile.expectNobody(in: settings.stateDirectory) } catch {
                throw Refusal(ledger: error, in: settings.stateDirectory)
            }
        }
        self = try Session.load(Pins(of: settings))
    }

    /// Makes the ledger where there is none yet, and has the counters outlive this process, while they are at nothing: so
    /// that whoever comes next goes on from the first byte.
    mutating func beginBill(_ settings: NodeSettings) throws(Refusal) {
        let (cap, directory) = (settings.cap, settings.stateDirectory)
        guard cap.limit != nil else { return }
        if LedgerFile.number(in: directory) == nil {
            do throws(KernelError) {
                let now = Moment.now
                let period = cap.calendar.period(containing: now.wall).seconds
                let ledger = Ledger(period, from: Reading(try readMeters()), at: now)
                _ = try LedgerFile.create(in: directory, ledger.closingEntry(at: now))
            } catch {
                throw Refusal(ledger: .kernel(error), in: directory)
            }
        }
        if let pins = Pins(ofLedgerIn: directory) { pin(pins) }
    }
}

extension Pins {
    /// Writes into the ledger what programs counted that count no more, so that nothing is charged for them, and takes the
    /// names of their counters away.
    ///
    /// - Parameter map: the number of counters that still count, which are left alone.
    /// - Returns: whether there was anything to write.
    /// - Throws: what cannot be read or written. The counters keep their names then, and live on by them.
    func settle(
        _ cap: CapSettings, in directory: String, sparing map: UInt32? = nil
    ) throws(LedgerRefusal) -> Bool {
        let reading: MeterReading?
        do throws(KernelError) { reading = try read() } catch { throw .kernel(error) }
        guard let reading, reading.map != map else { return false }
        let (now, last) = (Moment.now, Reading(reading))
        let period = cap.calendar.period(containing: now.wall).seconds
        let keeper = try Bookkeeper(in: directory, period, under: cap.limit?.bytes, from: last, at: now)
        do throws(KernelError) {
            try keeper.close(with: last, in: period, under: cap.limit?.bytes, at: now)
        } catch {
            throw .kernel(error)
        }
        remove()
        return true
    }
}
