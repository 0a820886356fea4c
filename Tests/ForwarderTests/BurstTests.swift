import Foundation
import Glibc
import Lab
import LinuxSystem
import Node
import TestSupport
import Testing

/// A node whose counters die with it, killed at the worst moment: the line was at rest, so the ledger vouches for little.
@Suite(.serialized, .labCanBeBuilt) struct BurstTests {
    private let bill: PlainBill
    private var lab: PlainLab { bill.lab }
    private let capped = ["--cap", "1TB"]

    init() throws {
        bill = try PlainBill()
        try lab.node.run(["umount", "/sys/fs/bpf"])
    }

    @Test(
        "killed in a burst from rest, it has all of that on the bill by what is charged",
        arguments: [Bulk.Direction.upload, .download])
    func burst(direction: Bulk.Direction) throws {
        var (charged, passed): ([UInt64], [UInt64]) = ([], [])
        for _ in 0..<(isSoak ? 50 : 3) {
            let node = try bill.start(capped)
            let (before, known) = (try bill.truth(), try lab.quota())
            let bulk = try Bulk(
                .tcp, direction, flows: 1, client: lab.client, server: lab.internet, at: lab.internetAddress.v4)
            try eventually { try bill.truth() > before + 100_000 }
            usleep(.random(in: 0...300_000))
            try node.kill()
            withExtendedLifetime(bulk) {}
            let after = try bill.truth()
            let next = try bill.start(capped)
            let told = try lab.quota()
            passed.append(UInt64(after - before))
            charged.append(told.chargedBytes - known.chargedBytes)
            #expect(told.usedBytes - known.usedBytes >= after - before, "\(told) \(known)")
            #expect(next.stop() == .exited(0))
        }
        print("figure: burst, \(direction): passed \(passed), charged \(charged)")
        #expect(charged.allSatisfy { $0 > 0 })
    }
}
