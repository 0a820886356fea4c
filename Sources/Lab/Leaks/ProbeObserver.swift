internal import CLinux
internal import Glibc
package import LinuxSystem
internal import Synchronization

/// A packet that an observer saw, and the nonce that it found in it. What is in a tunnel bears none.
package struct Trace: Hashable, Sendable {
    package let sighting: Sighting
    package let nonce: Nonce?
}

/// Watches what comes in by a host's links, or leaves by one of this process's network, and finds probes in it.
package final class ProbeObserver: Sendable {
    private let diary = Diary()
    private let loop: Loop

    /// - Parameter interface: of the host.
    package convenience init(on host: LabHost, interface: String) throws(LabFailure) {
        try self.init(on: host, watching: interface, besides: [])
    }

    /// Watches all interfaces, also those that are made later.
    ///
    /// - Parameter interfaces: these are not watched.
    package convenience init(on host: LabHost, besides interfaces: [String]) throws(LabFailure) {
        try self.init(on: host, watching: "", besides: interfaces + ["lo"])
    }

    /// Watches what this process's own network sends. It sees what every filter has let pass.
    ///
    /// - Throws: EPERM without CAP_NET_RAW.
    package init(leavingBy interface: String) throws(KernelError) {
        let socket = Socket(try check("AF_PACKET", interface, unsafe clinux_socket_watch(interface)))
        loop = try Loop(begun: "probe-observer") { [diary] stop in
            keep(diary, of: socket, sent: true, besides: [], until: stop)
        }
    }

    private init(on host: LabHost, watching name: String, besides others: [String]) throws(LabFailure) {
        let (socket, passedOver) = try toward("watch \(name) on \(host.name)") { () throws(KernelError) in
            try host.namespace.run { () throws(KernelError) in
                let indexes = others.map { unsafe CInt(clamping: if_nametoindex($0)) }
                return (Socket(try check("AF_PACKET", name, unsafe clinux_socket_watch(name))), Set(indexes))
            }
        }
        loop = try Loop(named: "probe-observer") { [diary] stop in
            keep(diary, of: socket, sent: false, besides: passedOver, until: stop)
        }
    }

    /// What came since the last time, and how often. A packet is in it moments after it came.
    package func take() -> [Trace: Int] {
        diary.traces.withLock { traces in
            defer { traces = [:] }
            return traces
        }
    }

    /// Packets that the observer was too slow to see. Above zero, an absence proves nothing.
    package var missed: Int { diary.missed.withLock { $0 } }
}

private final class Diary: Sendable {
    let traces = Mutex<[Trace: Int]>([:])
    let missed = Mutex(0)
}

private func keep(
    _ diary: Diary, of socket: Socket, sent: Bool, besides others: Set<CInt>, until stop: Socket
) {
    var octets = [UInt8](repeating: 0, count: 256)
    while true {
        let ready = awaitReadiness([(stop, POLLIN), (socket, POLLIN)], upTo: -1)
        if ready[0] != 0 { return }
        var seen: [Trace] = []
        for _ in 0..<64 {
            var index: CInt = 0
            var isSent: CInt = 0
            let count = unsafe octets.withUnsafeMutableBytes {
                unsafe clinux_socket_sight(socket.descriptor.raw, $0.baseAddress, $0.count, &index, &isSent)
            }
            guard count > 0 else { break }
            guard (isSent != 0) == sent, !others.contains(index) else { continue }
            let packet = octets[..<min(count, octets.count)]
            if let sighting = Sighting(of: packet) { seen.append(Trace(sighting: sighting, nonce: Nonce(in: packet))) }
        }
        let missed = Int(clinux_socket_missed(socket.descriptor.raw))
        diary.traces.withLock { for trace in seen { $0[trace, default: 0] += 1 } }
        diary.missed.withLock { $0 += missed }
    }
}
