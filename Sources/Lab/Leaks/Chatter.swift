internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// A client that never pauses: a datagram every four milliseconds over IPv4 and one over IPv6, each from one socket, to an
/// `EchoServer`. UDP, because a TCP connection's own patience would be measured with the node's.
package final class Chatter: Sendable {
    private let said = Said()
    private let loop: Loop

    package init(on host: LabHost, to server: DualStack) throws(LabFailure) {
        let sockets = [
            try host.connect(.datagram, to: server.v4, port: EchoServer.port),
            try host.connect(.datagram, to: server.v6, port: EchoServer.port),
        ]
        for socket in sockets { socket.neverWait() }
        loop = try Loop(named: "chatter") { [said] stop in chat(over: sockets, said, until: stop) }
    }

    /// Datagrams so far.
    package var sent: Int { said.state.withLock { $0.sent } }

    /// Waits for echoes of what is said from now on, and answers after how long both families had one.
    ///
    /// - Returns: nothing when the time was up.
    package func echo(upTo limit: Duration) -> Duration? {
        let begin = ContinuousClock.now
        said.state.withLock {
            $0.since = $0.sent
            $0.echoes = [nil, nil]
        }
        while begin.duration(to: .now) < limit {
            let echoes = said.state.withLock { $0.echoes.compactMap(\.self) }
            if echoes.count == 2 { return echoes.map { begin.duration(to: $0) }.max() }
            usleep(1_000)
        }
        return nil
    }
}

private final class Said: Sendable {
    struct State: Sendable {
        var sent = 0
        /// The number from which on datagrams are listened for, and when each family's first echo came.
        var since = 0
        var echoes: [ContinuousClock.Instant?] = [nil, nil]
    }

    let state = Mutex(State())
}

private func chat(over sockets: [Socket], _ said: Said, until stop: Socket) {
    var number = 0
    var buffer = [UInt8](repeating: 0, count: 256)
    while awaitReadiness([(stop, POLLIN)], upTo: 4) == [0] {
        for (family, socket) in sockets.enumerated() {
            number += 1
            // What the node answers with an ICMP error is an errno here, of the one call or the other.
            try? socket.send(ArraySlice("chatter \(number)".utf8))
            while let count = try? socket.receive(into: &buffer), count > 0 {
                let words = String(decoding: buffer[..<count], as: UTF8.self).split(separator: " ")
                guard let echo = words.last.flatMap({ Int($0) }) else { continue }
                said.state.withLock {
                    if echo > $0.since, $0.echoes[family] == nil { $0.echoes[family] = .now }
                }
            }
        }
        said.state.withLock { $0.sent = number }
    }
}
