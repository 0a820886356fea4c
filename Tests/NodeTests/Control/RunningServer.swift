import Foundation
import Glibc
import LinuxSystem

@testable import Node

/// A control server on its own thread, in a directory of its own; both go when it goes.
final class RunningServer {
    let path: String
    private let directory: String
    private let server: ControlServer
    private let ended = DispatchSemaphore(value: 0)

    init(
        answer: @escaping @Sendable (ControlRequest) throws(Refusal) -> any Report = Examples.answer
    ) throws {
        directory = "/tmp/forwarder-test-\(UUID().uuidString)"
        path = directory + "/run/control.sock"
        let server = try ControlServer(path: path)
        self.server = server
        Thread.detachNewThread { [ended] in
            server.serve(answer)
            ended.signal()
        }
    }

    /// Ends the server's thread, and waits for that.
    func stop() {
        server.stop()
        ended.wait()
        ended.signal()
    }

    func restore() throws(Refusal) -> Bool { try server.restore() }

    deinit {
        stop()
        try? FileManager.default.removeItem(atPath: directory)
    }
}

/// A client that speaks as it likes.
struct RawClient: ~Copyable {
    let number: CInt

    init(connectingTo path: String) throws {
        let socket = try UnixSocket.patient(seconds: 10)
        try UnixSocket.connect(socket, to: path)
        number = socket.surrender()
    }

    func send(_ text: String) {
        let octets = Array(text.utf8)
        _ = unsafe Glibc.send(number, octets, octets.count, CInt(MSG_NOSIGNAL))
    }

    /// Everything until the server closes, or refuses to hear more.
    func readToEnd() -> String {
        var all: [UInt8] = []
        var space = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe recv(number, &space, space.count, 0)
            guard count > 0 else { return String(decoding: all, as: UTF8.self) }
            all += space[..<count]
        }
    }

    deinit { close(number) }
}

enum Examples {
    static let start = Date(timeIntervalSince1970: 1_763_683_200)

    static var status: StatusReport {
        var report = StatusReport(
            state: .forwarding, io: .poll, ioReason: "io_uring_setup: Operation not permitted",
            flows: .init(live: 3, capacity: 65_536, opened: 7, evicted: 1, expired: 3, flushed: 2),
            bindings: .init(inUse: 3, capacity: 16_384), startedAt: start, pid: 42)
        report.edges = .init(
            tailnet: .init(name: "tailscale0", index: 4, kind: .layer3),
            vpn: .init(name: "tun0", index: 5, kind: .layer3),
            uplink: .init(name: "eth0", index: 2, kind: .ethernet))
        report.exitAddresses = .init(v4: "198.51.100.7", v6: nil)
        report.local = ["192.168.7.0/24"]
        report.adminListen = "127.0.0.1:10586"
        report.ports = .init(
            inside: .init(name: "fwd-in", offloads: .all), outside: .init(name: "fwd-out", offloads: .noUSO))
        report.forwarded.egress = .init(packets: 10, bytes: 12_345_678, superPackets: 2)
        report.forwarded.fragmented = 5
        report.guard = .init(
            mode: .on, interfaces: ["eth0"], classes: ["control": .init(packets: 2, bytes: 1_500)],
            refused: ["client_dns": .init(packets: 1, bytes: 60)])
        report.egress = ["eth0": ["control": .init(packets: 2, bytes: 1_500)]]
        report.drops = ["no_binding": 4, "bad_checksum": 1]
        report.errors = .init(sent: ["packet_too_big": 3], suppressed: 1)
        return report
    }

    static func flow(_ index: Int) -> FlowsReport.Flow {
        .init(
            transport: "tcp", client: "100.64.0.9", clientPort: 40_000, remote: "203.0.113.5", remotePort: 443,
            outsidePort: 16_384, state: "established", egressPackets: 1, egressBytes: UInt64(index), ingressPackets: 2,
            ingressBytes: 3, firstSeen: start, lastSeen: start)
    }

    static func client(_ index: Int) -> ClientsReport.Client {
        .init(
            client: "100.64.0.9", name: "laptop", flows: 3, flowsLive: 1, egressPackets: 1, egressBytes: UInt64(index),
            ingressPackets: 2, ingressBytes: 3, firstSeen: start, lastSeen: start)
    }

    @Sendable static func answer(_ request: ControlRequest) throws(Refusal) -> any Report {
        switch request {
        case .status, .stop, .quota: status
        case .health: HealthReport([])
        case .flows(let top, let addresses):
            FlowsReport(busiest: (0..<top).map(flow), total: 5_000, addresses: addresses)
        case .clients(let top, let addresses):
            ClientsReport(busiest: (0..<top).map(client), total: 5_000, addresses: addresses)
        }
    }
}
