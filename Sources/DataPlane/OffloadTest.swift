import CLinux
import Glibc
import PacketParse

extension Port {
    /// The best rung whose super-packets this port takes from us when they are written, tried with one of each kind.
    ///
    /// Some kernels refuse with EINVAL what they offered: 6.1.103, 6.6.44, 6.10.3 and vendors' kernels derived from these.
    /// To be asked while nothing that comes out of the port goes anywhere: the packets are real, if to no purpose.
    package func accepted() -> Offloads {
        func takes(_ kinds: [TrialPacket]) -> Bool {
            kinds.allSatisfy { kind in
                let octets = kind.octets
                let length = unsafe octets.withUnsafeBytes { unsafe write(descriptor.raw, $0.baseAddress, $0.count) }
                return length == octets.count || errno != EINVAL
            }
        }
        guard takes([.tcp4, .tcp6]) else { return .none }
        return takes([.udp4, .udp6]) ? .all : .noUSO
    }
}

/// A super-packet of three segments, from and to addresses for documentation (RFC 5737, RFC 3849).
private enum TrialPacket {
    case tcp4, tcp6, udp4, udp6

    var octets: [UInt8] {
        let payload = [UInt8](repeating: 0, count: 300)
        let isV4 = self == .tcp4 || self == .udp4
        let isTCP = self == .tcp4 || self == .tcp6
        let ports: [UInt8] = [0, 9, 0, 9]
        let transport: [UInt8] =
            isTCP
            ? ports + [0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0] + payload
            : ports + [UInt8((8 + payload.count) >> 8), UInt8((8 + payload.count) & 0xff), 0, 0] + payload
        let network: [UInt8] = isV4 ? v4(isTCP ? 6 : 17, transport.count) : v6(isTCP ? 6 : 17, transport.count)

        var header = VirtioNetHeader()
        header.flags = .needsChecksum
        header.gsoType = isTCP ? (isV4 ? .tcp4 : .tcp6) : .udpL4
        header.gsoSize = 100
        header.headerLength = UInt16(network.count + (isTCP ? TCPHeader.size : UDPHeader.size))
        header.checksumStart = UInt16(network.count)
        header.checksumOffset = UInt16(isTCP ? TCPHeader.Field.checksum : UDPHeader.Field.checksum)
        var octets = [UInt8](repeating: 0, count: VirtioNetHeader.size)
        var span = octets.mutableSpan
        var raw = unsafe span.mutableBytes
        header.write(into: &raw)
        return octets + network + transport
    }

    private func v4(_ protocolNumber: UInt8, _ length: Int) -> [UInt8] {
        var header: [UInt8] = [
            0x45, 0, UInt8((20 + length) >> 8), UInt8((20 + length) & 0xff), 0, 0, 0, 0, 1, protocolNumber, 0, 0,
            192, 0, 2, 1, 192, 0, 2, 2,
        ]
        let checksum = unsafe InternetChecksum.complete(InternetChecksum.sum(header.span.bytes))
        header[10] = UInt8(checksum >> 8)
        header[11] = UInt8(checksum & 0xff)
        return header
    }

    private func v6(_ protocolNumber: UInt8, _ length: Int) -> [UInt8] {
        let network: [UInt8] = [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11)
        return [0x60, 0, 0, 0, UInt8(length >> 8), UInt8(length & 0xff), protocolNumber, 1] + network + [1] + network
            + [2]
    }
}
