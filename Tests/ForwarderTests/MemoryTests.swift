import Foundation
import Lab
import LinuxSystem
import Testing

/// What a machine that is short of memory does to a node.
@Suite(.serialized, .labCanBeBuilt) struct MemoryTests {
    @Test("a packet waits for no disk where memory may be locked; where it may not, all of the node is read again")
    func paging() throws {
        // A file of its own: pages that other nodes have, too, the kernel leaves where they are.
        let own = Binary.path.deletingLastPathComponent().appending(path: "forwarder-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: Binary.path, to: own)
        defer { try? FileManager.default.removeItem(at: own) }
        // What is not on the disk yet cannot be read from there.
        try FileHandle(forUpdating: own).synchronize()
        // What it does for the first time may have to be read.
        #expect(try majorFaults(of: own.path, capabilities: [.netAdmin, .bpf, .ipcLock]) <= 1)
        #expect(
            try majorFaults(of: own.path, behind: ["prlimit", "--memlock=8388608"], capabilities: [.netAdmin, .bpf]) > 4
        )
    }

    /// Times that the loop waited for a disk while everything that could be was paged out under it.
    private func majorFaults(
        of program: String, behind wrapper: [String] = [], capabilities: Capabilities
    ) throws -> Int {
        let lab = try PlainLab()
        let node = try ForwarderProcess(program, on: lab, behind: wrapper, capabilities: capabilities)
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        // What the start needed is forgotten a second after it.
        usleep(1_500_000)
        #expect(try lab.client.ping(lab.internetAddress.v4) == 3)
        let before = try node.loopTimes().majorFaults
        for _ in 0..<5 {
            _ = try node.pageOut()
            #expect(try lab.client.ping(lab.internetAddress.v4, count: 1, upTo: 5) == 1)
        }
        let faults = try node.loopTimes().majorFaults - before
        print("figure: major faults of the loop, five times paged out: \(faults)")
        return faults
    }
}
