internal import Glibc
internal import LinuxSystem

/// The other side of an `EchoServer`: asks what address it is seen with and whether bytes come back as they went.
package struct EchoClient: Sendable {
    let host: LabHost
    let server: String

    package init(on host: LabHost, to server: String) {
        self.host = host
        self.server = server
    }

    /// The endpoint that the server sees on a TCP connection.
    package func endpointSeenOverTCP() throws(LabFailure) -> String {
        let socket = try host.connect(.stream, to: server, port: EchoServer.port)
        return try toward("hear the TCP echo of \(server)") { () throws(KernelError) in try greeting(from: socket) }
    }

    /// The endpoint that the server sees of a UDP socket.
    package func endpointSeenOverUDP() throws(LabFailure) -> String {
        let socket = try host.connect(.datagram, to: server, port: EchoServer.port)
        return try toward("hear the UDP echo of \(server)") { () throws(KernelError) in
            try socket.send(Array("who".utf8)[...])
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = try socket.receive(into: &buffer)
            return String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    /// Sends a datagram of each size and answers the sizes that did not come back as they went, in three attempts a
    /// second apart: the first may be lost to path MTU discovery.
    ///
    /// - Parameter sizes: octets of payload, at most 65,507 for IPv4.
    package func datagramsSpoiled(sizes: [Int]) throws(LabFailure) -> [Int] {
        let socket = try host.connect(.datagram, to: server, port: EchoServer.port)
        var spoiled: [Int] = []
        for size in sizes {
            let datagram = noise(count: size, seed: UInt64(size))
            let returned = try toward("send a datagram of \(size) octets to \(server)") { () throws(KernelError) in
                for _ in 0..<3 where try returns(datagram, over: socket) { return true }
                return false
            }
            if !returned { spoiled.append(size) }
        }
        return spoiled
    }

    private func returns(_ datagram: [UInt8], over socket: Socket) throws(KernelError) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        try socket.send(datagram[...])
        // An earlier attempt's answer may come late: what is not ours is passed over.
        while awaitReadiness([(socket, POLLIN)], upTo: 1000) != [0] {
            let count = try socket.receive(into: &buffer)
            if buffer[..<count] == datagram[...] { return true }
        }
        return false
    }

    /// Sends pieces over one TCP connection, each with a write of its own, and says whether all came back in order.
    package func streamReturns(pieces: [Int]) throws(LabFailure) -> Bool {
        let socket = try host.connect(.stream, to: server, port: EchoServer.port)
        return try toward("exchange pieces with the TCP echo of \(server)") { () throws(KernelError) in
            _ = try greeting(from: socket)
            var buffer = [UInt8](repeating: 0, count: 65_536)
            for (number, size) in pieces.enumerated() {
                let sent = noise(count: size, seed: UInt64(number))
                try socket.send(sent[...])
                var returned: [UInt8] = []
                while returned.count < size {
                    let count = try socket.receive(into: &buffer)
                    if count == 0 { return false }
                    returned += buffer[..<count]
                }
                if returned != sent { return false }
            }
            return true
        }
    }

    /// Opens a TCP connection and keeps it.
    package func converse() throws(LabFailure) -> EchoConversation {
        let socket = try host.connect(.stream, to: server, port: EchoServer.port)
        _ = try toward("hear the TCP echo of \(server)") { () throws(KernelError) in try greeting(from: socket) }
        return EchoConversation(socket: socket)
    }

    /// One line, octet by octet: what follows belongs to someone else.
    private func greeting(from socket: Socket) throws(KernelError) -> String {
        var line: [UInt8] = []
        var octet: [UInt8] = [0]
        while try socket.receive(into: &octet) == 1, octet[0] != UInt8(ascii: "\n") { line.append(octet[0]) }
        return String(decoding: line, as: UTF8.self)
    }
}

/// A TCP connection to an `EchoServer` that stays open.
package struct EchoConversation: Sendable {
    fileprivate let socket: Socket

    /// Says something and tells whether it comes back within the time.
    package func goesOn(milliseconds: CInt = 5000) -> Bool {
        var heard: [UInt8] = [0]
        guard (try? socket.send([7])) != nil, awaitReadiness([(socket, POLLIN)], upTo: milliseconds) != [0],
            let count = try? socket.receive(into: &heard)
        else { return false }
        return count == 1 && heard == [7]
    }
}

/// Pseudo-random octets (xorshift64), the same for the same seed.
func noise(count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &+ 0x9e37_79b9_7f4a_7c15
    var octets: [UInt8] = []
    octets.reserveCapacity(count + 8)
    while octets.count < count {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        for shift in stride(from: UInt64(0), to: 64, by: 8) { octets.append(UInt8(truncatingIfNeeded: state >> shift)) }
    }
    octets.removeLast(octets.count - count)
    return octets
}
