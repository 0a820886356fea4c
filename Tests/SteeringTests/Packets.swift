import Glibc
import PacketParse

/// Packets for the programs to meet, built without the parser that the product uses. Checksums stay zero: no program of
/// ours reads one.
typealias Octets = [UInt8]

enum EtherType: UInt16 {
    case ipv4 = 0x0800
    case arp = 0x0806
    case ipv6 = 0x86DD
}

/// IANA protocol numbers, those that the tests need.
enum Proto: UInt8 {
    case hopByHop = 0, icmp = 1, tcp = 6, udp = 17, fragment = 44, icmpv6 = 58, destinationOptions = 60, sctp = 132
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
    return [0x40 | UInt8(header / 4), 0] + big(UInt16(header + payload.count)) + big(id)
        + big((more ? 0x2000 : 0) | offset / 8) + [64, proto.rawValue, 0, 0] + octets(source) + octets(destination)
        + options + payload
}

/// - Parameter first: of the payload, which may begin with extension headers.
func ipv6(_ source: String, _ destination: String, _ first: Proto, _ payload: Octets) -> Octets {
    [0x60, 0, 0, 0] + big(UInt16(payload.count)) + [first.rawValue, 64] + octets(source) + octets(destination) + payload
}

/// Eight octets of padding (RFC 8200 section 4.2: PadN of six).
func padding(before next: Proto) -> Octets { [next.rawValue, 0, 1, 4, 0, 0, 0, 0] }

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

func octets(_ address: String) -> Octets {
    var buffer = Octets(repeating: 0, count: 16)
    if unsafe inet_pton(AF_INET6, address, &buffer) == 1 { return buffer }
    precondition(unsafe inet_pton(AF_INET, address, &buffer) == 1, "\(address) is no address")
    return Octets(buffer.prefix(4))
}

func address(_ text: String) -> IPAddress {
    let number = octets(text).reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
    return text.contains(":") ? IPAddress(bits: number) : IPAddress(v4: UInt32(number))
}

func big(_ number: UInt16) -> Octets { [UInt8(number >> 8), UInt8(number & 0xff)] }
