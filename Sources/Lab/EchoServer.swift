internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Tells everyone the address it saw, then says back what it hears: TCP and UDP, both IP versions, port 7 (RFC 862).
///
/// A TCP connection is greeted with one line, the peer's endpoint (`192.0.2.1:80`, `[2001:db8::1]:80`). A datagram that
/// reads `who` is answered with the same text. Everything else comes back as it was.
package final class EchoServer: Sendable {
    package static let port: UInt16 = 7

    private let loops: [Loop]

    package init(on host: LabHost, at addresses: DualStack) throws(LabFailure) {
        raiseDescriptorLimit()
        let listeners = [
            try host.bind(.stream, at: addresses.v4, port: Self.port),
            try host.bind(.stream, at: addresses.v6, port: Self.port),
        ]
        let mailboxes = [
            try host.bind(.datagram, at: addresses.v4, port: Self.port),
            try host.bind(.datagram, at: addresses.v6, port: Self.port),
        ]
        loops = [
            try Loop(named: "echo-tcp") { echoStreams(from: listeners, until: $0) },
            try Loop(named: "echo-udp") { echoDatagrams(of: mailboxes, until: $0) },
        ]
    }
}

/// One connection, which is either listening or has something left to say.
private struct Conversation {
    let socket: Socket
    var unsaid: ArraySlice<UInt8>

    /// Takes one step without waiting. False when the conversation is over.
    mutating func step(buffer: inout [UInt8]) -> Bool {
        if unsaid.isEmpty {
            guard let count = try? socket.receive(into: &buffer), count > 0 else { return false }
            unsaid = buffer[..<count]
        }
        let sent = unsafe unsaid.withUnsafeBytes {
            unsafe Glibc.send(socket.descriptor.raw, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
        }
        guard sent >= 0 || errno == EAGAIN else { return false }
        unsaid = unsaid.dropFirst(max(0, sent))
        return true
    }
}

private func echoStreams(from listeners: [Socket], until stop: Socket) {
    var conversations: [Conversation] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let doors = ([stop] + listeners).map { (socket: $0, events: POLLIN) }
        let ready = awaitReadiness(
            doors + conversations.map { (socket: $0.socket, events: $0.unsaid.isEmpty ? POLLIN : POLLOUT) }, upTo: -1)
        if ready[0] != 0 { return }
        // From the back, so that a removal moves only what has been served.
        for index in conversations.indices.reversed() where ready[doors.count + index] != 0 {
            if !conversations[index].step(buffer: &buffer) { conversations.remove(at: index) }
        }
        for (listener, answer) in zip(listeners, ready.dropFirst()) where answer != 0 {
            guard let (connection, peer) = try? listener.accept() else { continue }
            connection.neverWait()
            conversations.append(Conversation(socket: connection, unsaid: Array("\(peer)\n".utf8)[...]))
        }
    }
}

private func echoDatagrams(of mailboxes: [Socket], until stop: Socket) {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let ready = awaitReadiness(([stop] + mailboxes).map { (socket: $0, events: POLLIN) }, upTo: -1)
        if ready[0] != 0 { return }
        for (mailbox, answer) in zip(mailboxes, ready.dropFirst()) where answer != 0 {
            // An ICMP error about an earlier answer is nobody's business here.
            _ = unsafe buffer.withUnsafeMutableBytes {
                unsafe clinux_socket_echo_datagram(mailbox.descriptor.raw, $0.baseAddress, $0.count)
            }
        }
    }
}
