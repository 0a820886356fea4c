internal import CLinux
internal import Glibc
internal import LinuxSystem

/// The distance that a host of the lab lacks: what it sends to an address is on the way for a while, in a tun that gives it
/// back to be routed from there. What it receives comes at once.
///
/// In a lab everything may be answered before the call that sent it returns, which no network does. Not netem, for not every
/// kernel has it. As long as its owner lives.
package final class LongLine: Sendable {
    package static let interface = "far"
    /// The routing table of what is yet to go over the line.
    package static let table = 78

    private let loop: Loop

    package init(on host: LabHost, from source: DualStack, to end: DualStack, delay: Duration) throws(LabFailure) {
        let tun = try toward("make \(Self.interface) on \(host.name)") { () throws(KernelError) in
            try host.namespace.run { () throws(KernelError) in
                let tun = Socket(try check("open", "/dev/net/tun", clinux_tun_open_device()))
                try check(
                    "TUNSETIFF", Self.interface,
                    unsafe Self.interface.withCString { unsafe clinux_tun_create(tun.descriptor.raw, $0) })
                return tun
            }
        }
        loop = try Loop(named: "long line") { stop in giveBack(what: tun, delay, until: stop) }
        // What comes back bears an address of the host itself.
        try host.set("net/ipv4/conf/\(Self.interface)/accept_local", to: "1")
        try host.set("net/ipv4/ip_forward", to: "1")
        try host.set("net/ipv6/conf/all/forwarding", to: "1")
        try host.ip(
            """
            link set \(Self.interface) up
            route add 0.0.0.0/0 dev \(Self.interface) src \(source.v4) table \(Self.table)
            route add ::/0 dev \(Self.interface) src \(source.v6) table \(Self.table)
            """)
        for (version, address) in [("-4", end.v4), ("-6", end.v6)] {
            try host.run(["ip", version, "rule", "add", "iif", "lo", "to", address, "lookup", "\(Self.table)"])
        }
    }
}

/// Writes each packet back where it was read, after the delay.
private func giveBack(what tun: Socket, _ delay: Duration, until stop: Socket) {
    var buffer = [UInt8](repeating: 0, count: 65_600)
    var travelling: [(due: ContinuousClock.Instant, packet: ArraySlice<UInt8>)] = []
    while true {
        let rest = travelling.first.map { max(.zero, $0.due - .now) / .milliseconds(1) }
        let ready = awaitReadiness([(stop, POLLIN), (tun, POLLIN)], upTo: rest.map { CInt($0.rounded(.up)) } ?? -1)
        if ready[0] != 0 { return }
        while true {
            let count = unsafe read(tun.descriptor.raw, &buffer, buffer.count)
            guard count > 0 else { break }
            travelling.append((.now + delay, buffer[..<count]))
        }
        while let first = travelling.first, first.due <= .now {
            _ = unsafe first.packet.withUnsafeBytes { unsafe write(tun.descriptor.raw, $0.baseAddress, $0.count) }
            travelling.removeFirst()
        }
    }
}
