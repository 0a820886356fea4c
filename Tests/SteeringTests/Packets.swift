import LinuxNetwork
import PacketParse
import TestSupport

/// Packets for the programs to meet, built without the parser that the product uses. Checksums of transports stay zero
/// where only programs of ours look; `datagram` makes what a real stack accepts.
typealias Octets = [UInt8]

enum EtherType: UInt16 {
    case ipv4 = 0x0800
    case arp = 0x0806
    case ipv6 = 0x86DD
}

/// IANA protocol numbers, those that the tests need.
enum Proto: UInt8 {
    case hopByHop = 0
    case icmp = 1
    case tcp = 6
    case udp = 17
    case fragment = 44
    case icmpv6 = 58
    case destinationOptions = 60
    case sctp = 132
}

/// The all-zero destination is the loopback device's own address, through which the kernel's test run sends.
func ethernet(_ type: EtherType, to destination: Octets = [0, 0, 0, 0, 0, 0], _ payload: Octets) -> Octets {
    destination + [2, 0, 0, 0, 0, 2] + big(type.rawValue) + payload
}

/// - Parameter offset: of the fragment, in octets.
func ipv4(
    _ source: String, _ destination: String, _ proto: Proto, id: UInt16 = 1, offset: UInt16 = 0, more: Bool = false,
    options: Octets = [], _ payload: Octets
) -> Octets {
    let header = 20 + options.count
    let beforeSum =
        [0x40 | UInt8(header / 4), 0] + big(UInt16(header + payload.count)) + big(id)
        + big((more ? 0x2000 : 0) | offset / 8) + [64, proto.rawValue]
    let afterSum = octets(source) + octets(destination) + options
    return beforeSum + big(~naiveSum(beforeSum + afterSum)) + afterSum + payload
}

/// - Parameter first: of the payload, which may begin with extension headers.
func ipv6(_ source: String, _ destination: String, _ first: Proto, _ payload: Octets) -> Octets {
    [0x60, 0, 0, 0] + big(UInt16(payload.count)) + [first.rawValue, 64] + octets(source) + octets(destination) + payload
}

/// An options header of sixteen octets that holds nothing but padding (RFC 8200 section 4.2: PadN).
func padding(before next: Proto) -> Octets { [next.rawValue, 1, 1, 12] + Octets(repeating: 0, count: 12) }

func fragmentHeader(before next: Proto, id: UInt32, offset: UInt16 = 0, more: Bool = false) -> Octets {
    [next.rawValue, 0] + big(offset | (more ? 1 : 0)) + big(UInt16(id >> 16)) + big(UInt16(truncatingIfNeeded: id))
}

func udp(_ source: UInt16, _ destination: UInt16, data: Int = 8) -> Octets {
    big(source) + big(destination) + big(UInt16(8 + data)) + [0, 0] + Octets(repeating: 0x55, count: data)
}

func tcp(_ source: UInt16, _ destination: UInt16) -> Octets {
    big(source) + big(destination) + [0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]
}

/// Echo, its reply, or with four octets in place of identifier and sequence an error; ICMP and ICMPv6 alike.
func icmp(_ type: UInt8, id: UInt16 = 0, _ payload: Octets = []) -> Octets {
    [type, 0, 0, 0] + big(id) + [0, 1] + payload
}

/// A UDP datagram with its checksum, in an IP packet of the addresses' family.
func datagram(_ source: String, _ destination: String, _ from: UInt16, _ to: UInt16, _ data: Octets) -> Octets {
    let length = UInt16(8 + data.count)
    let pseudoHeader = octets(source) + octets(destination) + big(length) + [0, Proto.udp.rawValue]
    let ports = big(from) + big(to) + big(length)
    let segment = ports + big(~naiveSum(pseudoHeader + ports + data)) + data
    return source.contains(":")
        ? ipv6(source, destination, .udp, segment) : ipv4(source, destination, .udp, segment)
}

/// A TCP super-packet as a stack hands it to an offloading device: the checksum field holds the pseudo-header's sum,
/// and the virtio_net_hdr says how to finish and where to cut.
func superPacket(
    _ source: String, _ destination: String, to port: UInt16 = 443, payload: Int
) -> (header: Octets, packet: Octets) {
    let length = UInt16(20 + payload)
    let pseudoHeader = octets(source) + octets(destination) + big(length) + [0, Proto.tcp.rawValue]
    let segment =
        tcp(30000, port)[0..<16] + big(naiveSum(pseudoHeader)) + [0, 0] + Octets(repeating: 0x55, count: payload)
    let isIPv6 = source.contains(":")
    let network: UInt16 = isIPv6 ? 40 : 20
    // flags NEEDS_CSUM, gso_type TCPV4 or TCPV6, hdr_len, gso_size, csum_start, csum_offset; in the host's order.
    let words = [network + 20, 1200, network, 16].flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
    return (
        [1, isIPv6 ? 4 : 1] + words,
        isIPv6 ? ipv6(source, destination, .tcp, segment) : ipv4(source, destination, .tcp, segment)
    )
}

func sourceAndDestination(of packet: Octets) -> [Octets] {
    packet[0] >> 4 == 4
        ? [Octets(packet[12..<16]), Octets(packet[16..<20])] : [Octets(packet[8..<24]), Octets(packet[24..<40])]
}

func octets(_ address: String) -> Octets {
    guard let address = IPAddress(address) else { preconditionFailure("\(address) is no address") }
    let all = (0..<16).map { UInt8(truncatingIfNeeded: address.bits >> UInt128(120 - 8 * $0)) }
    return all.suffix(address.isV4 ? 4 : 16)
}

func big(_ number: UInt16) -> Octets { [UInt8(number >> 8), UInt8(number & 0xff)] }
