import Glibc
import Lab
import LinuxSystem
import Testing

@testable import Steering

/// By which names the counters of a bill are found, and when they are not.
@Suite(.enabled(if: geteuid() == 0, "needs root"))
final class PinsTests {
    private let lab: PlainLab
    private let pins = Pins(ofBill: 0x51)

    init() throws { lab = try PlainLab() }

    /// Loads the programs, meets one packet, and gives the counters names.
    private func load(_ pins: Pins?) throws -> (reading: MeterReading, pinning: Pinning) {
        let result = try lab.node.namespace.run { () -> Result<(MeterReading, Pinning), any Error> in
            Result {
                var steering = try Steering(pins)
                _ = try? steering.run(.uplinkIngress, on: ethernet(.arp, Octets(repeating: 0, count: 28)))
                if let pins { steering.pin(pins) }
                return (try steering.readMeters(), steering.pinning)
            }
        }
        return try result.get()
    }

    private func read(_ pins: Pins) throws -> MeterReading? {
        try lab.node.namespace.run { () throws(KernelError) in try pins.read() }
    }

    private func bytes(_ reading: MeterReading?) -> UInt64? { reading?.meters["uplink_management"]?.bytes }

    @Test func `counters with names go on from one process to the next`() throws {
        #expect(pins.directory == "/sys/fs/bpf/forwarder/0000000000000051")
        #expect(try read(pins) == nil)
        let first = try load(pins)
        #expect("\(first.pinning)" == "begun" && bytes(first.reading) == 42)
        let second = try load(pins)
        #expect("\(second.pinning)" == "resumed" && bytes(second.reading) == 84)
        #expect(second.reading.map == first.reading.map)
        #expect(try read(pins) == second.reading, "also by who has loaded nothing")
        #expect(try bytes(load(nil).reading) == 42)
    }

    @Test func `one of them tells nothing`() throws {
        let first = try load(pins)
        try lab.node.run(["rm", "\(pins.directory)/meters"])
        #expect(try read(pins) == nil)
        let second = try load(pins)
        #expect("\(second.pinning)" == "begun" && bytes(second.reading) == 42)
        #expect(second.reading.map != first.reading.map)
    }

    @Test func `those that are older than what the bill was last made of are not counted a second time`() throws {
        let first = try load(pins).reading
        // Meanwhile another node, which sees no bpffs, has counted for the same bill.
        let other = try load(nil).reading
        #expect(try read(Pins(ofBill: 0x51, lastMadeOf: first.map)) == first)
        let pins = Pins(ofBill: 0x51, lastMadeOf: other.map)
        #expect(try read(pins) == nil)
        let second = try load(pins)
        #expect("\(second.pinning)" == "begun" && bytes(second.reading) == 42)
        #expect(try read(pins) == second.reading)
    }

    @Test func `what cannot be looked at keeps its names, and its count`() throws {
        _ = try load(pins)
        // Who resolves too many symbolic links cannot tell what is behind them.
        try lab.node.run(["mv", "\(pins.directory)/meters", "\(pins.directory)/elsewhere"])
        try lab.node.run(["ln", "-s", "meters", "\(pins.directory)/meters"])
        guard case .refused(let error) = try load(pins).pinning else {
            Issue.record("a name was taken, or given")
            return
        }
        #expect(error.errno == .tooManySymbolicLinkLevels, "\(error)")
        try lab.node.run(["mv", "\(pins.directory)/elsewhere", "\(pins.directory)/meters"])
        let found = try load(pins)
        #expect("\(found.pinning)" == "resumed" && bytes(found.reading) == 84)
    }

    @Test func `who has not looked takes no names from others, and gives up its own`() throws {
        _ = try load(pins)
        let pinning = try lab.node.namespace.run { [pins] in
            Result {
                var steering = try Steering()
                steering.pin(pins)
                return [
                    steering.pinning,
                    {
                        steering.unpin()
                        return steering.pinning
                    }(),
                ]
            }
        }.get()
        guard case .refused(let error) = pinning[0] else {
            Issue.record("\(pinning)")
            return
        }
        #expect(error.errno == .fileExists && "\(pinning[1])" == "notAsked")
        #expect(try bytes(read(pins)) == 42)
    }

    @Test func `what is no bpffs takes no names`() throws {
        try lab.node.run(["umount", "/sys/fs/bpf"])
        defer { _ = try? lab.node.run(["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"]) }
        guard case .refused = try load(pins).pinning else {
            Issue.record("it did")
            return
        }
    }
}
