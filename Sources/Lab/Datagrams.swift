internal import CLinux
internal import Glibc
internal import LinuxSystem

extension LabHost {
    /// Sends a datagram to each port of an address, from a socket of its own: as many flows.
    package func sendDatagrams(to address: String, ports: ClosedRange<UInt16>) throws(LabFailure) {
        try toward("send datagrams to \(address)") { () throws(KernelError) in
            try namespace.run { () throws(KernelError) in
                for port in ports {
                    let socket = try Socket.connect(.datagram, to: address, port: port, waiting: false)
                    try socket.send([0x66])
                }
            }
        }
    }

    /// Sends IP packets that bring their own headers, to the hop that leads to an address.
    package func sendRaw(_ packets: [[UInt8]], to address: String) throws(LabFailure) {
        try toward("send raw packets to \(address)") { () throws(KernelError) in
            let socket = try namespace.run { () throws(KernelError) in
                Socket(try check("socket", address, unsafe clinux_socket_raw(address)))
            }
            for packet in packets { try socket.send(packet, to: address, port: 0) }
        }
    }
}

/// A UDP socket that talks to anyone.
package final class Mailbox: Sendable {
    private let socket: Socket

    package init(on host: LabHost, at address: String, port: UInt16) throws(LabFailure) {
        socket = try host.bind(.datagram, at: address, port: port)
    }

    package func send(_ octets: [UInt8], to address: String, port: UInt16) throws(LabFailure) {
        try toward("send to \(address)") { () throws(KernelError) in try socket.send(octets, to: address, port: port) }
    }

    /// The next datagram; none when none comes in time.
    package func receive(upTo milliseconds: Int32 = 2000) -> [UInt8]? {
        guard awaitReadiness([(socket, POLLIN)], upTo: milliseconds) != [0] else { return nil }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        guard let count = try? socket.receive(into: &buffer) else { return nil }
        return Array(buffer[..<count])
    }
}

extension Socket {
    fileprivate func send(_ octets: [UInt8], to address: String, port: UInt16) throws(KernelError) {
        let sent = unsafe octets.withUnsafeBytes {
            unsafe clinux_socket_send_to(descriptor.raw, address, port, $0.baseAddress, $0.count)
        }
        try check("sendto", address, CInt(clamping: sent))
    }
}
