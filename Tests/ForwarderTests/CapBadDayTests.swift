import Foundation
import Glibc
import Lab
import LinuxSystem
import Node
import Testing

/// What a person may get wrong about the cap, and what may become of the place of its ledger.
@Suite(.serialized, .labCanBeBuilt) struct CapBadDayTests {
    private let lab: PlainLab
    private static let usual = "80% warn, 90% pace, 95% rate 512kbit/s, 100% stop"

    init() throws {
        lab = try PlainLab()
        try lab.node.run(["mkdir", "/run/state"])
    }

    /// A key, a value that cannot be meant, why, and a value that can.
    private static let wrongValues = [
        ("cap", "0GB", "would let nothing pass; none is written none", "35GB"),
        ("cap", "-35GB", "is negative", "35GB"),
        ("cap", "35", "has no unit, which is B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB or PiB", "35GB"),
        ("cap.stages", "90% warn, 80% stop", #"holds "80% stop" after "90% warn", which begins later"#, usual),
        ("cap.stages", "80% warn, 80% pace", "holds two stages at 80%", usual),
        ("cap.stages", "80% warn, 101% stop", #"holds "101% stop", where "101%" is more than 100%"#, usual),
        ("cap.zone", "Europe/Berlim", "is no time zone of the IANA database", "Europe/Berlin"),
        ("cap.reset_day", "0", "is outside 1 to 31", "1"),
        ("cap.reset_day", "32", "is outside 1 to 31", "1"),
    ]

    /// Stages that overlap for this cap alone.
    private static let misfit = """
        could not use the settings cap and cap.stages together
        because of a cap of 1GB "80% stop" does not begin after "900MB warn"
        next: write for example --cap 35GB --cap-stages '\(usual)'
        """

    @Test("a value that cannot be meant is told with its key and a correct one, before anything is changed")
    func wrongAtTheStart() throws {
        for (key, value, reason, example) in Self.wrongValues {
            let name = "FORWARDER_" + key.uppercased().replacing(".", with: "_")
            let quoted = example.contains(" ") ? "'\(example)'" : example
            let (ending, told) = try run([name: value])
            #expect(ending == .exited(64))
            #expect(
                told == """
                    forwarder: could not read the setting \(key)
                    because "\(value)" \(reason) (\(name))
                    next: write for example \(name)=\(quoted)

                    """)
        }
        let (ending, told) = try run(["FORWARDER_CAP": "1GB", "FORWARDER_CAP_STAGES": "900MB warn, 80% stop"])
        #expect(ending == .exited(64) && told == "forwarder: \(Self.misfit)\n", "\(told)")
        try expectUntouched(lab, "after values that cannot be meant")
    }

    @Test("a running node refuses them, says so in the log, keeps its settings and goes on billing")
    func wrongLater() throws {
        try write("cap: 1GB")
        let node = try start()
        let before = try lab.quota()
        for (key, value, reason, example) in Self.wrongValues {
            try write(key == "cap" ? "cap: '\(value)'" : "cap: 1GB\n\(key): '\(value)'")
            node.child.signal(SIGHUP)
            let refusal = """
                the new settings are refused, the old ones stay: could not read the setting \(key)
                because "\(value)" \(reason) (\(key) in /run/forwarder.yaml)
                next: write for example \(key): \(example)

                """
            try eventually { node.child.standardError.contains(Self.inLog(refusal)) }
        }
        try write("cap: 1GB\ncap.stages: 900MB warn, 80% stop")
        node.child.signal(SIGHUP)
        try eventually { node.child.standardError.contains(Self.inLog("the old ones stay: \(Self.misfit)")) }

        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        let after = try lab.quota()
        #expect(after.usedBytes > before.usedBytes + 3 * 2 * 84)
        #expect(after.limitBytes == before.limitBytes && after.periodEnd == before.periodEnd && after.isRunning)
        #expect(!node.child.standardError.contains("settings read again"))
    }

    /// A refusal as the log has it, on one line.
    private static func inLog(_ refusal: String) -> String {
        refusal.split(separator: "\n").joined(separator: "; ").replacing("\"", with: "\\\"")
    }

    /// How a place is spoilt, what the kernel says of it, and how `run` ends.
    private static let places: [(name: String, spoil: String, because: String, code: CInt)] = [
        ("a file", "touch /run/place", "access /run/place: Not a directory", 69),
        (
            "another's", "mkdir -m 700 /run/place && chown 1000 /run/place", "access /run/place: Permission denied", 77
        ),
        (
            "another's to write", "mkdir /run/place && chown 1000 /run/place",
            "open /run/place/ledger.new: Permission denied", 77
        ),
        (
            "full", "mkdir /run/place && mount -t tmpfs -o size=4k full /run/place",
            "pwrite /run/place/ledger.new: No space left on device", 69
        ),
        (
            "read-only", "mkdir /run/place && mount -t tmpfs -o ro readonly /run/place",
            "open /run/place/ledger.new: Read-only file system", 69
        ),
    ]

    private static func refusal(_ because: String) -> String {
        """
        could not keep the ledger of the cap in state_dir, "/run/place"
        because \(because)
        next: make it a directory that this user can write, on a disk with room, or name another: \
        FORWARDER_STATE_DIR=/var/lib/forwarder

        """
    }

    private static let missing = """
        could not keep the ledger of the cap in state_dir, "/run/place"
        because it is not there
        next: mkdir -p /run/place, where it outlives the container, or name another: \
        FORWARDER_STATE_DIR=/var/lib/forwarder

        """

    @Test("a state directory that cannot hold a ledger is told, and the host is as it was")
    func places() throws {
        let settings = ["FORWARDER_CAP": "1GB", "FORWARDER_STATE_DIR": "/run/place"]
        let (ending, told) = try run(settings)
        #expect(ending == .exited(69) && told == "forwarder: \(Self.missing)", "\(told)")
        try expectUntouched(lab, "missing")
        for place in Self.places {
            try lab.node.run(["sh", "-c", place.spoil])
            let (ending, told) = try run(settings)
            #expect(ending == .exited(place.code), "\(place.name)")
            #expect(told.hasSuffix("forwarder: \(Self.refusal(place.because))"), "\(place.name): \(told)")
            try expectUntouched(lab, "\(place.name)")
            try clear()
        }
    }

    @Test("a running node that is told of such a place goes on as before, with a cap and without one")
    func placesLater() throws {
        try write("log: info")
        let node = try start()
        func refused(_ refusal: String) throws {
            let before = node.child.standardError.count
            node.child.signal(SIGHUP)
            try eventually {
                node.child.standardError.dropFirst(before).contains(
                    Self.inLog("refused, the old ones stay: \(refusal)"))
            }
            #expect(try lab.client.ping(lab.internetAddress.v4, count: 1) == 1)
        }
        try write("cap: 1GB\nstate_dir: /run/place")
        try refused(Self.missing)
        for place in Self.places {
            try lab.node.run(["sh", "-c", place.spoil])
            try refused(Self.refusal(place.because))
            try clear()
        }
        try write("cap: 1GB\nstate_dir: /run/state")
        try node.reload()
        let before = try lab.quota()
        try lab.node.run(["mkdir", "/run/place"])
        try write("cap: 2GB\nstate_dir: /run/place")
        try refused(
            """
            could not take a new state_dir
            because the ledger is kept in /run/state
            next: start the node again

            """)
        let after = try lab.quota()
        #expect(after.usedBytes > before.usedBytes && after.limitBytes == 1_000_000_000 && after.isRunning)
    }

    @Test("a disk that fills up takes nothing from a ledger that has its place on it")
    func fullDisk() throws {
        try mountSmallDisk()
        try write("cap: 1GB")
        let node = try start()
        try fill()
        try lab.move(5_000_000)
        let report = try lab.quota()
        #expect(report.usedBytes > 5_000_000 && report.notes.isEmpty, "\(report.notes)")
        usleep(500_000)
        try node.kill()
        // What was written while the disk was full: each write twice as far from the one before.
        #expect(try lab.quota().usedBytes > report.usedBytes / 8)
        let again = try start()
        #expect(try lab.quota().usedBytes >= report.usedBytes)
        #expect(try lab.quota().chargedBytes == 0)
        withExtendedLifetime(again) {}
    }

    @Test(
        "where each write takes room and there is none, quota and log say so; the count goes on, and is written once it can"
    )
    func noRoom() throws {
        try mountSmallDisk()
        try write("cap: 1GB")
        var node = try start()
        // As where what is overwritten is written elsewhere first: btrfs, ZFS.
        try lab.node.run(["fallocate", "--punch-hole", "--offset", "0", "--length", "8192", "/run/state/ledger"])
        try fill()
        try lab.move(5_000_000)
        let told = "the ledger cannot be written"
        try eventually { try lab.quota().notes.contains { $0.hasPrefix(told) } }
        let full = try lab.quota()
        #expect(full.usedBytes > 5_000_000 && full.isRunning)
        #expect(full.notes.count == 1 && full.notes[0].contains("No space left on device"), "\(full.notes)")
        #expect(node.child.standardError.contains("level=error msg=\"\(told)"))
        #expect(node.child.standardError.contains("next: see that /run/state is there, can be written and has room"))
        let refused = try lab.node.start([Binary.path.path, "quota", "grant", "1GB"])
        #expect(refused.wait(upTo: .seconds(5)) == .exited(69))
        #expect(refused.standardError.contains("and has room; do not ask a second time"))
        try lab.move(5_000_000)
        let later = try lab.quota()
        #expect(later.usedBytes > full.usedBytes + 5_000_000 && later.limitBytes == 2_000_000_000)

        try lab.node.run(["rm", "/run/state/filler"])
        try eventually { try lab.quota().notes.isEmpty }
        try eventually { node.child.standardError.contains("the ledger is written again") }
        try node.kill()
        let written = try lab.quota()
        #expect(!written.isRunning && written.usedBytes >= later.usedBytes && written.limitBytes == 2_000_000_000)
        node = try start()
        #expect(try lab.quota().chargedBytes == 0)
        #expect(node.stop() == .exited(0))
    }

    // MARK: A node, its settings, its disk

    /// `run`, until it ends by itself.
    private func run(_ settings: [String: String]) throws -> (ending: ChildProcess.Ending?, told: String) {
        let child = try lab.node.start(
            ["env"] + settings.map { "\($0)=\($1)" } + [Binary.path.path, "run", "--wait", "0", "--dns", "off"],
            capabilities: [.netAdmin, .bpf])
        return (child.wait(upTo: .seconds(20)), child.standardError)
    }

    private func write(_ yaml: String) throws {
        let lines = yaml + (yaml.contains("state_dir") ? "\n" : "\nstate_dir: /run/state\n")
        try lab.node.write(lines, to: "/run/forwarder.yaml")
    }

    private func start() throws -> ForwarderProcess {
        try ForwarderProcess(
            Binary.path.path, on: lab, ["--config", "/run/forwarder.yaml", "--dns", "off", "--uplink", lab.vpnEdge])
    }

    private func mountSmallDisk() throws {
        try lab.node.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", "/run/state"])
    }

    private func fill() throws {
        let child = try lab.node.start(["dd", "if=/dev/zero", "of=/run/state/filler", "bs=4096"])
        #expect(child.wait(upTo: .seconds(5)) == .exited(1), "full")
    }

    private func clear() throws {
        try lab.node.run(["sh", "-c", "umount /run/place 2>/dev/null; rm -rf /run/place"])
    }
}
