internal import LinuxSystem

/// What the kernel counted on a link, from the view of the host that owns this end. A super-packet counts once.
package struct LinkCounters: Equatable, Sendable {
    package let receivedBytes: Int
    package let receivedPackets: Int
    package let sentBytes: Int
    package let sentPackets: Int

    package static func - (later: LinkCounters, earlier: LinkCounters) -> LinkCounters {
        LinkCounters(
            receivedBytes: later.receivedBytes - earlier.receivedBytes,
            receivedPackets: later.receivedPackets - earlier.receivedPackets,
            sentBytes: later.sentBytes - earlier.sentBytes,
            sentPackets: later.sentPackets - earlier.sentPackets)
    }
}

extension LabHost {
    package func counters(of interface: String) throws(LabFailure) -> LinkCounters {
        try toward("read the counters of \(interface) on \(name)") { () throws(KernelError) in
            try namespace.run { () throws(KernelError) in
                func counter(_ file: String) throws(KernelError) -> Int {
                    let text = try contents(of: "/sys/class/net/\(interface)/statistics/\(file)")
                    return Int(text.dropLast()) ?? 0
                }
                return LinkCounters(
                    receivedBytes: try counter("rx_bytes"), receivedPackets: try counter("rx_packets"),
                    sentBytes: try counter("tx_bytes"), sentPackets: try counter("tx_packets"))
            }
        }
    }
}
