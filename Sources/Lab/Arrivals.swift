internal import Glibc
internal import LinuxSystem

/// What arrived at an Ethernet interface over time: octets of IP packets, as the kernel counts them. Where the link hands
/// super-packets across, they count with one header.
package struct Arrivals: Sendable {
    package struct Window: Sendable {
        package let octets: Double
        package let seconds: Double
    }

    private struct Sample: Sendable {
        let nanoseconds: UInt64
        let octets: Int
    }

    private static let frameHeader = 14
    private static let interval: useconds_t = 5_000

    private let samples: [Sample]

    /// Looks every five milliseconds for so many seconds.
    package init(at interface: String, of host: LabHost, seconds: Double) throws(LabFailure) {
        samples = try toward("read the counters of \(interface) on \(host.name)") { () throws(KernelError) in
            try host.namespace.run { () throws(KernelError) in
                let clock = MonotonicClock()
                let end = clock.nanoseconds + UInt64(seconds * 1e9)
                var samples: [Sample] = []
                func counter(_ file: String) throws(KernelError) -> Int {
                    Int(try contents(of: "/sys/class/net/\(interface)/statistics/\(file)").dropLast()) ?? 0
                }
                while clock.nanoseconds < end {
                    let (octets, packets) = (try counter("rx_bytes"), try counter("rx_packets"))
                    samples.append(
                        Sample(nanoseconds: clock.nanoseconds, octets: octets - packets * Self.frameHeader))
                    usleep(Self.interval)
                }
                return samples
            }
        }
    }

    /// From the first look to the last.
    package var whole: Window { window(0, samples.count - 1) }

    /// Every window of so many seconds, or a few milliseconds more, that lies in the record.
    package func windows(of seconds: Double) -> [Window] {
        var windows: [Window] = []
        var last = 0
        for first in samples.indices {
            let end = samples[first].nanoseconds + UInt64(seconds * 1e9)
            while last < samples.count, samples[last].nanoseconds < end { last += 1 }
            guard last < samples.count else { break }
            windows.append(window(first, last))
        }
        return windows
    }

    private func window(_ first: Int, _ last: Int) -> Window {
        Window(
            octets: Double(samples[last].octets - samples[first].octets),
            seconds: Double(samples[last].nanoseconds - samples[first].nanoseconds) / 1e9)
    }
}
