import LinuxSystem
import SystemPackage
import Testing

@testable import Node

/// What probes make of a cap: where its counters and its ledger are kept, and what a node says of its count.
struct CapJudgementTests {
    @Test func `without a bpffs a cap is charged for crashes, which is graver than what else is missed`() {
        for isWritable in [true, false] {
            let mounts = isWritable ? [] : [Mount(path: "/sys/fs/bpf", type: "bpf")]
            let finding = Probe.judge(bpffs: mounts, isWritable: isWritable, isCapped: true)
            #expect(finding.severity == .warning)
            #expect(finding.evidence.contains("charges the cap a reserve"))
            #expect(finding.remedy?.contains("volumes: [/sys/fs/bpf:/sys/fs/bpf]") == true)
        }
    }

    @Test(
        arguments: [
            (.noSuchFileOrDirectory, false, "error", "mkdir -p /state"), (.notDirectory, false, "error", "a directory"),
            (.permissionDenied, false, "error", "this user can write"), (.noSpace, false, "error", "with room"),
            (.readOnlyFileSystem, false, "error", "this user can write"),
            (.readOnlyFileSystem, true, "warning", "this user can write"),
            (.permissionDenied, true, "warning", "this user can write"),
        ] as [(Errno, Bool, String, String)])
    func `where no ledger can be written a node refuses to start, but for one that it can read`(
        errno: Errno, isReadable: Bool, severity: String, remedy: String
    ) {
        let finding = Probe.judge(
            "/state", KernelError("access", errno, "/state"), isReadable: isReadable, on: "tmpfs")
        #expect(finding.severity.rawValue == severity)
        #expect(finding.evidence.contains("memory") == isReadable)
        #expect(finding.remedy?.contains(remedy) == true, "\(finding)")
    }

    @Test(
        arguments: [
            ("tmpfs", "in memory"), ("ramfs", "in memory"), ("overlay", "a container's own files"), ("ext4", nil),
            ("xfs", nil), (nil, nil),
        ] as [(String?, String?)])
    func `a place that goes with the container is told`(type: String?, evidence: String?) {
        for isReadable in [true, false] {
            let finding = Probe.judge("/state", nil, isReadable: isReadable, on: type)
            #expect(finding.severity == (evidence == nil ? .ok : .warning))
            #expect(finding.evidence.contains(evidence ?? "kept in /state"))
            #expect(finding.remedy?.contains("volumes: [forwarder-state:/state]") ?? (evidence == nil))
        }
    }

    @Test(
        arguments: [
            (0, 1000, "ok", nil), (0, nil, "ok", nil), (1, 1000, "note", "dmesg"),
            (2, nil, "warning", "your provider's count"), (0, 3000, "warning", "timedatectl set-ntp true"),
            (1, 3000, "warning", "timedatectl set-ntp true"),
        ] as [(Int, Int64?, String, String?)])
    func `a ledger is told that is damaged, or of a later time than the clock's`(
        badSlots: Int, begun: Int64?, severity: String, remedy: String?
    ) {
        let finding = Probe.judge(badSlots, of: "/state", begun: begun, now: 2000)
        #expect(finding.severity.rawValue == severity)
        #expect(finding.remedy?.contains(remedy ?? "none") ?? (remedy == nil), "\(finding)")
    }

    @Test func `whatever a node says of its count, there is something to do about it`() {
        for finding in QuotaReport.Finding.allCases {
            let told = Probe.judge([.slotBad, finding], saying: ["a slot", "this"], of: "/state")
            #expect(told.severity == (finding == .slotBad ? .note : .warning))
            #expect(told.evidence == (finding == .slotBad ? "a slot" : "this"))
            #expect(told.remedy?.isEmpty == false)
        }
        #expect(Probe.judge([], saying: [], of: "/state").severity == .ok)
    }
}
