import Glibc
import LinuxSystem
import SystemPackage

/// Asks a process that makes a WireGuard interface, as wg(8) does (https://www.wireguard.com/xplatform/).
///
/// Nobody knows who listens there. However it behaves, it is done with after `patience`, and what it says is checked.
enum WireGuardSocket {
    /// A process that lives answers within a millisecond.
    static let patience = Duration.milliseconds(200)
    /// Octets of an answer; a peer with a hundred networks takes three thousand.
    static let limit = 1 << 18

    /// Nil for an answer that is none.
    static func read(_ path: String) throws(KernelError) -> WireGuardDevice? {
        let socket = try UnixSocket.nonBlocking()
        try UnixSocket.connect(socket, to: path)
        let question = Array("get=1\n\n".utf8)
        guard try UnixSocket.send(socket, question[...]) == question.count else { return nil }
        let deadline = ContinuousClock.now + patience
        let end = Array("\n\n".utf8)
        var answer: [UInt8] = []
        // It keeps the connection open for more questions.
        while answer.suffix(2) != end[...] {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero, answer.count <= limit,
                UnixSocket.wait([(socket.raw, POLLIN)], milliseconds: CInt(left / .milliseconds(1)) + 1)[0] != 0
            else { throw KernelError("recv", .timedOut, path) }
            let arrived = try UnixSocket.receive(socket, atMost: 16_384)
            guard !arrived.isEmpty else { return nil }
            answer += arrived
        }
        return WireGuardDevice(answer: String(decoding: answer, as: UTF8.self))
    }
}

extension WireGuardDevice {
    /// From lines `key=value`, of which `errno=0` is the last; nil where it is not. What is not known is passed over.
    init?(answer: String) {
        var mark: UInt32 = 0
        var peers: [Peer] = []
        var isComplete = false
        for line in answer.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { return nil }
            let value = line[equals...].dropFirst()
            switch line[..<equals] {
            case "fwmark": mark = UInt32(value) ?? 0
            case "public_key": peers.append(Peer())
            case "endpoint": peers.current.endpoint = Endpoint(String(value))
            case "last_handshake_time_sec": peers.current.lastHandshake = UInt64(value).flatMap(Peer.moment)
            case "rx_bytes": peers.current.receivedBytes = UInt64(value) ?? 0
            case "tx_bytes": peers.current.sentBytes = UInt64(value) ?? 0
            case "errno": isComplete = value == "0"
            default: break
            }
        }
        guard isComplete else { return nil }
        self.init(.process, mark: mark, peers: peers)
    }
}

extension [WireGuardDevice.Peer] {
    /// The one that lines are about; what is said before there is one is about nobody.
    fileprivate var current: WireGuardDevice.Peer {
        get { isEmpty ? .init() : self[count - 1] }
        set { if !isEmpty { self[count - 1] = newValue } }
    }
}
