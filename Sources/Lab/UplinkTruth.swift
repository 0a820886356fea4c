internal import Glibc

/// What the far end of the node's uplink counts, both ways: the truth that a bill is held beside.
///
/// The line then carries packets as a wire does: both ends cut before they send. A qdisc counts what goes to the node, for the
/// node's end of the veth may join packets, and would count their Ethernet headers once.
package struct UplinkTruth: Sendable {
    private let isp: LabHost

    private static let interface = "node0"

    package init(of lab: WireGuardLab) throws(LabFailure) {
        isp = lab.isp
        try lab.node.run(["ethtool", "-K", "eth0", "tso", "off", "tx-udp-segmentation", "off"])
        try isp.run(["ethtool", "-K", Self.interface, "tso", "off", "gso", "off", "gro", "off"])
        try isp.run(["tc", "qdisc", "add", "dev", Self.interface, "root", "pfifo", "limit", "10000"])
    }

    /// Where it begins means nothing; differences do.
    package func bytes() throws(LabFailure) -> UInt64 {
        // "Sent 5000 bytes 50 pkt (dropped 0, overlimits 0 requeues 0)"
        let told = try isp.run(["tc", "-s", "qdisc", "show", "dev", Self.interface])
        let words = told.split(separator: " ")
        guard let unit = words.firstIndex(of: "bytes"), let sent = UInt64(words[unit - 1]) else {
            throw LabFailure(couldNot: "count what \(isp.name) sends to the node", because: "tc says \(told)")
        }
        return sent + UInt64(try isp.counters(of: Self.interface).receivedBytes)
    }

    /// What it counts, and what somebody else tells of the same, at a moment at which nothing passes.
    package func beside<Told>(
        _ telling: () throws(LabFailure) -> Told
    ) throws(LabFailure) -> (truth: UInt64, told: Told) {
        for _ in 0..<40 {
            let before = try bytes()
            usleep(500_000)
            let told = try telling()
            if try bytes() == before { return (before, told) }
        }
        throw LabFailure(couldNot: "count what the uplink carries", because: "it was never silent for half a second")
    }
}
