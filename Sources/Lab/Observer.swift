internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// What an observer can tell of one packet without opening it.
package struct Sighting: Hashable, Sendable {
    package let source: String
    package let destination: String
    /// The number in the IP header; behind IPv6 extension headers the first of them.
    package let transport: UInt8
    /// 0 where there are none: neither TCP nor UDP, or not the first fragment.
    package let sourcePort: UInt16
    package let destinationPort: UInt16
    /// ICMP's or ICMPv6's; nil where there is none.
    package let controlType: UInt8?
}

/// Watches one link of one host and keeps a tally of who talked to whom. Any question about addresses, protocols and
/// ports is then a filter over the tally.
package final class Observer: Sendable {
    private let tally: Tally
    private let loop: Loop

    package init(on host: LabHost, interface: String) throws(LabFailure) {
        let socket = try toward("watch \(interface) on \(host.name)") { () throws(KernelError) in
            try host.namespace.run { () throws(KernelError) in
                Socket(try check("AF_PACKET", interface, unsafe clinux_socket_watch(interface)))
            }
        }
        let tally = Tally()
        self.tally = tally
        loop = try Loop(named: "observer") { stop in watch(socket, for: tally, until: stop) }
    }

    /// Ends the watch and answers what passed since its beginning.
    package func stop() -> [Sighting: Int] {
        loop.stop()
        return tally.packets.withLock { $0 }
    }

    /// Packets that the observer was too slow to see. Above zero, an absence proves nothing. Valid after `stop`.
    package var missed: Int { tally.missed.withLock { $0 } }
}

extension [Sighting: Int] {
    package func packets(where predicate: (Sighting) -> Bool) -> Int {
        reduce(0) { predicate($1.key) ? $0 + $1.value : $0 }
    }

    /// What passed between pairs of hosts, in either direction, other than these: on an uplink, what should have been
    /// in a tunnel. The link's own housekeeping is nobody's traffic.
    package func strangers(besides allowed: [(String, String)]) -> [Sighting] {
        keys.filter { sighting in
            !sighting.isHousekeeping
                && !allowed.contains { pair in
                    pair == (sighting.source, sighting.destination) || pair == (sighting.destination, sighting.source)
                }
        }
    }
}

private final class Tally: Sendable {
    let packets = Mutex<[Sighting: Int]>([:])
    let missed = Mutex(0)
}

private func watch(_ socket: Socket, for tally: Tally, until stop: Socket) {
    var header = [UInt8](repeating: 0, count: 128)
    var packets: [Sighting: Int] = [:]
    var isStopping = false
    while true {
        let ready = awaitReadiness([(stop, POLLIN), (socket, POLLIN)], upTo: isStopping ? 0 : -1)
        isStopping = isStopping || ready[0] != 0
        // What was queued before the stop still counts.
        if isStopping, ready[1] == 0 { break }
        for _ in 0..<64 {
            let count = unsafe header.withUnsafeMutableBytes {
                unsafe recv(socket.descriptor.raw, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT))
            }
            guard count > 0 else { break }
            if let sighting = Sighting(of: header[..<count]) { packets[sighting, default: 0] += 1 }
        }
    }
    tally.packets.withLock { $0 = packets }
    tally.missed.withLock { $0 = Int(clinux_socket_missed(socket.descriptor.raw)) }
}

extension Sighting {
    /// Neighbour discovery (RFC 4861), multicast listeners and whatever else cannot leave its link.
    package var isHousekeeping: Bool {
        let isNeighbourDiscovery = transport == UInt8(IPPROTO_ICMPV6) && (133...137).contains(controlType ?? 0)
        return isNeighbourDiscovery || source.hasPrefix("fe80:")
            || ["ff02:", "224.0.0."].contains(where: destination.hasPrefix)
    }

    /// An error of ICMP or ICMPv6, which quotes a packet of another direction (RFC 792, RFC 4443).
    package var isControlError: Bool {
        switch Int(transport) {
        case IPPROTO_ICMP: [3, 4, 5, 11, 12].contains(controlType ?? 0)
        case IPPROTO_ICMPV6: (1...4).contains(controlType ?? 0)
        default: false
        }
    }

    /// Reads the headers by itself instead of asking PacketParse, because it is there to judge what PacketParse let
    /// through.
    init?(of packet: ArraySlice<UInt8>) {
        func number(at offset: Int) -> UInt16 {
            offset + 1 < packet.count ? UInt16(packet[offset]) << 8 | UInt16(packet[offset + 1]) : 0
        }
        let transportOffset: Int
        let isLaterFragment: Bool
        switch packet.first.map({ $0 >> 4 }) {
        case 4 where packet.count >= 20:
            source = packet[12..<16].map { "\($0)" }.joined(separator: ".")
            destination = packet[16..<20].map { "\($0)" }.joined(separator: ".")
            transport = packet[9]
            transportOffset = Int(packet[0] & 0xf) * 4
            isLaterFragment = number(at: 6) & 0x1fff != 0
        case 6 where packet.count >= 40:
            source = textOfIPv6(packet[8..<24])
            destination = textOfIPv6(packet[24..<40])
            transport = packet[6]
            transportOffset = 40
            isLaterFragment = false
        default:
            return nil
        }
        let hasPorts = !isLaterFragment && (transport == UInt8(IPPROTO_TCP) || transport == UInt8(IPPROTO_UDP))
        sourcePort = hasPorts ? number(at: transportOffset) : 0
        destinationPort = hasPorts ? number(at: transportOffset + 2) : 0
        let isControl = transport == UInt8(IPPROTO_ICMP) || transport == UInt8(IPPROTO_ICMPV6)
        controlType = isControl && !isLaterFragment ? UInt8(number(at: transportOffset) >> 8) : nil
    }
}

/// The shortest spelling (RFC 5952), by Glibc.
private func textOfIPv6(_ octets: ArraySlice<UInt8>) -> String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    _ = unsafe octets.withUnsafeBytes { octets in
        unsafe text.withUnsafeMutableBufferPointer {
            unsafe inet_ntop(AF_INET6, octets.baseAddress, $0.baseAddress, socklen_t($0.count))
        }
    }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
