internal import Glibc
internal import LinuxSystem

/// Many TCP connections to an `EchoServer`, all open at the same time.
package struct ConcurrentFlows: Sendable {
    /// Connections that got back the token they had sent.
    package let completed: Int
    /// The endpoints that the server saw: as many as completed, or two flows were mixed up.
    package let endpointsSeen: Set<String>

    package init(
        _ count: Int, from host: LabHost, to server: String, upTo limit: Duration = .seconds(20)
    ) throws(LabFailure) {
        raiseDescriptorLimit()
        var flows = try toward("open \(count) connections from \(host.name)") { () throws(KernelError) in
            try host.namespace.run { () throws(KernelError) in
                var flows: [Flow] = []
                for number in 0..<count {
                    let socket = try Socket.connect(.stream, to: server, port: EchoServer.port, waiting: false)
                    flows.append(Flow(socket: socket, token: "token \(number)\n"))
                }
                return flows
            }
        }
        let clock = ContinuousClock()
        let deadline = clock.now + limit
        var buffer = [UInt8](repeating: 0, count: 4096)
        while clock.now < deadline {
            let waiting = flows.indices.filter { !flows[$0].isOver }
            if waiting.isEmpty { break }
            let ready = awaitReadiness(
                waiting.map { (socket: flows[$0].socket, events: flows[$0].isSent ? POLLIN : POLLOUT) }, upTo: 1000)
            for (index, answer) in zip(waiting, ready) where answer != 0 { flows[index].step(buffer: &buffer) }
        }
        let returned = flows.compactMap(\.endpointSeen)
        completed = returned.count
        endpointsSeen = Set(returned)
    }
}

private struct Flow: Sendable {
    let socket: Socket
    let token: String
    var isSent = false
    var isBroken = false
    var heard = ""

    init(socket: Socket, token: String) {
        self.socket = socket
        self.token = token
    }

    /// The greeting, once the token has followed it.
    var endpointSeen: String? {
        let lines = heard.split(separator: "\n")
        return lines.count == 2 && heard.hasSuffix(token) && "\(lines[1])\n" == token ? String(lines[0]) : nil
    }

    var isOver: Bool { isBroken || endpointSeen != nil }

    mutating func step(buffer: inout [UInt8]) {
        do throws(KernelError) {
            if isSent {
                let count = try socket.receive(into: &buffer)
                heard += String(decoding: buffer[..<count], as: UTF8.self)
                isBroken = count == 0
            } else {
                try socket.send(Array(token.utf8)[...])
                isSent = true
            }
        } catch {
            isBroken = error.errno.rawValue != EAGAIN
        }
    }
}
