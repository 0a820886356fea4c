import Glibc
import LinuxSystem

@testable import Cap

/// A folder in memory for one ledger, gone with its owner. In memory, because the model writes tens of thousands of times and
/// each of them waits for what it lies on.
final class ScratchFolder: Sendable {
    let path: String

    init() throws(KernelError) {
        var template = "/dev/shm/ledger-XXXXXX\0".utf8.map { CChar(bitPattern: $0) }
        guard unsafe mkdtemp(&template) != nil else { throw KernelError("mkdtemp", .init(rawValue: errno), "/dev/shm") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in ["ledger", "ledger.new"] { remove(name) }
        _ = unsafe rmdir(path)
    }

    func remove(_ name: String) { _ = unsafe unlink(path + "/" + name) }

    /// Nil when there is no such file.
    func octets(_ name: String = "ledger") -> [UInt8]? {
        let file = unsafe open(path + "/" + name, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var octets = [UInt8](repeating: 0, count: 3 * LedgerSlot.size)
        let count = unsafe read(file, &octets, octets.count)
        return Array(octets.prefix(max(0, count)))
    }

    func put(_ octets: [UInt8], _ name: String = "ledger") {
        let file = unsafe open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        _ = unsafe write(file, octets, octets.count)
        close(file)
    }
}

extension Reading {
    /// Counters of one machine: the map's number, and so many octets of client traffic out of the uplink.
    init(map: UInt32 = 1, sent: UInt64 = 0, received: UInt64 = 0) {
        self.init(epoch: Epoch(bootID: 1, map: map), counts: MeterCounts())
        counts[.egress, .client] = sent
        counts[.ingress, .client] = received
    }
}

extension Moment {
    /// Both clocks at so many seconds after the tests' beginning of time.
    init(_ seconds: Int64) { self.init(seconds, ahead: 0) }

    /// The wall clock so many seconds ahead.
    init(_ seconds: Int64, ahead: Int64) {
        self.init(wall: later(seconds + ahead), steady: UInt64(seconds) * 1_000_000_000)
    }
}

/// So many seconds after the tests' beginning of time: when any clock has been set.
func later(_ seconds: Int64) -> Int64 { 1_800_000_000 + seconds }

/// A period of a thousand seconds.
func month(_ number: Int64) -> Range<Int64> { later(number * 1000)..<later((number + 1) * 1000) }

/// A period that holds every moment of most tests.
let always = later(0)..<later(1_000_000)

extension Bookkeeper {
    /// A look, by who waits for the disk himself.
    mutating func record(_ reading: Reading, in period: Range<Int64>, under cap: UInt64?, at now: Moment) {
        count(reading, in: period, under: cap, at: now)
        writeIfDue(at: now)
    }
}

extension Ledger {
    /// A new one that is on disk.
    static func written(_ period: Range<Int64> = always, sent: UInt64 = 0) -> Ledger {
        var ledger = Ledger(period, from: Reading(sent: sent), at: Moment(1))
        ledger.persisted(ledger.begin(at: Moment(1)), at: Moment(1))
        return ledger
    }
}
